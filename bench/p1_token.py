"""Goal P1: a join over HTTP with all its features, against the same token with none of them.

What counts is the time of the processor that the server's process used for a request; the load
comes from this process. The room is open; some hundred people come again and again.
"""

import asyncio
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping

import httptools
import uvicorn
import uvloop
from load import load, request
from programs import Program, program
from rounds import RESULTS, Case, Goal, run

IDENTITIES = 500
PATH = "/api/v1/token"


def joins(headers: Mapping[str, str]) -> Iterator[bytes]:
    """The requests of all, over and over."""
    wish = {"type": "audio_room", "room_name": "lobby", "device_id": "d3b07384d113edec"}
    return itertools.cycle(
        request("POST", PATH, headers, json.dumps(wish | {"identity": f"person-{n}"}).encode())
        for n in range(IDENTITIES)
    )


def keys(server: Program) -> dict[str, str]:
    """How an app's clients show which app they are of."""
    return {"x-app-id": server.said["app_id"], "x-app-key": server.said["app_key"]}


def cpu_of(server: Program, requests: Iterator[bytes]) -> Case:
    """Seconds of the server's processor a request."""

    def case(window: float) -> float:
        began = server.cpu_s()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            tally = runner.run(load(server.port, requests, window))
        return (server.cpu_s() - began) / len(tally.seconds)

    return case


def open_room(engine: Program) -> int:
    """Let the host open the room. The size of the answer."""
    wish = {"type": "audio_room", "room_name": "lobby", "identity": "host", "role": "host"}
    first = request("POST", PATH, keys(engine), json.dumps(wish).encode())
    return asyncio.run(load(engine.port, itertools.repeat(first), 0, 1)).size


def main() -> int:
    """Run it."""
    with (
        tempfile.TemporaryDirectory(dir=RESULTS) as folder,
        program("serve_sfu") as sfu,
        program("serve_floor", "proto") as proto,
        program("serve_floor", "asgi") as asgi,
        program("serve_engine", folder, f"ws://127.0.0.1:{sfu.port}", "bench", "x" * 32) as engine,
    ):
        size = open_room(engine)
        headers = keys(engine)
        cases = {
            "proto_sign": cpu_of(proto, joins(headers)),
            "raw uvicorn": cpu_of(asgi, joins(headers)),
            "POST /token": cpu_of(engine, joins(headers)),
        }
        goals = [
            Goal("POST /token", "proto_sign", 0.22, held=0.06),
            Goal("POST /token", "raw uvicorn", 0.50, held=0.18),
        ]
        return run(
            "p1_token", cases, goals, answer_bytes=size, uvicorn=uvicorn.__version__,
            httptools=httptools.__version__,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
