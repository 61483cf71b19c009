"""A program to be stopped. `python serving_engine.py PATH PORT LIVEKIT_PORT` serves on."""

import asyncio
import sys

from utd_engine import logs
from utd_engine.config import HTTP, Admin, Config, LiveKit, Security, Store
from utd_engine.main import serve


def main(path: str, port: str, livekit_port: str) -> None:
    logs.configure("info", "json")
    config = Config(
        http=HTTP(port=int(port)),
        admin=Admin(port=0),
        store=Store(path=path),
        livekit=LiveKit(
            url=f"ws://127.0.0.1:{livekit_port}", api_key="stopped", api_secret="x" * 32
        ),
        security=Security(master_secrets=("for-tests-only-for-tests-only-for-tests-only",)),
    )
    asyncio.run(serve(config))


if __name__ == "__main__":
    main(*sys.argv[1:])
