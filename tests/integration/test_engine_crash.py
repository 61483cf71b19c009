"""kill -9 of a working engine, again and again: what it acknowledged is there, once, in order.

`UTD_CRASH_ROUNDS=200` kills more often, `UTD_CRASH_SEED` repeats a run's kill points.
"""

import asyncio
import json
import os
import random
import socket
import sqlite3
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support import crashing_engine
from support.served_engine import ROOM, plain_http

ROUNDS = int(os.environ.get("UTD_CRASH_ROUNDS", "20"))
SEED = int(os.environ.get("UTD_CRASH_SEED", "0")) or random.SystemRandom().getrandbits(32)
CLIENTS = 6
TTL_S = 1.0


class Victim:
    """The engine as a process on one port and one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> dict[str, str]:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, crashing_engine.__file__, str(self._path), str(self.port)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            said = await self._process.stdout.readline()
        ready: dict[str, str] = json.loads(said)
        return ready

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


class Load:
    """Clients who each say numbered things, and say each again until it was acknowledged."""

    def __init__(self, victim: Victim, http: aiohttp.ClientSession) -> None:
        self._victim = victim
        self._http = http
        self._news = asyncio.Condition()
        self.host = ""
        self.acknowledged: dict[str, int] = {}
        """What was said, and the seq that the answer gave it."""
        self.replays = 0

    async def join(self, app: dict[str, str]) -> None:
        body = {
            "type": "audio_room",
            "room_name": "lobby",
            "identity": "host",
            "role": "host",
            "policy": {"invite_ttl_s": TTL_S, "seat_hold_s": TTL_S, "host_grace_s": 3600},
        }
        headers = {"x-app-id": app["app"], "x-app-key": app["key"]}
        url = f"{self._victim.url}/api/v1/token"
        async with self._http.post(url, json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            self.host = (await answer.json())["user_token"]

    async def ask(self, method: str, path: str, body: object = None, key: str = "") -> Any:
        headers = {"authorization": f"Bearer {self.host}"}
        if key:
            headers["idempotency-key"] = key
        url = self._victim.url + ROOM + path
        async with self._http.request(method, url, json=body, headers=headers) as answer:
            self.replays += answer.headers.get("idempotent-replayed") == "true"
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def until_it_answers(self, method: str, path: str, body: object, key: str) -> Any:
        while True:
            try:
                return await self.ask(method, path, body, key)
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.01)

    async def client(self, number: int) -> None:
        count = 0
        while True:
            count += 1
            said = f"{number}-{count}"
            done = await self.until_it_answers("PATCH", "/settings", {"metadata": said}, said)
            [event] = done["events"]
            assert event["metadata"] == said
            self.acknowledged[said] = event["seq"]
            async with self._news:
                self._news.notify_all()

    async def after(self, answers: int) -> None:
        """Wait until so many more were acknowledged."""
        until = len(self.acknowledged) + answers
        async with self._news, asyncio.timeout(20):
            await self._news.wait_for(lambda: len(self.acknowledged) >= until)


class Reader:
    """Follows the log by its cursor, over every crash."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.log: list[dict[str, Any]] = []

    async def follow(self) -> None:
        while True:
            got = await self._load.ask("GET", f"/events?after={len(self.log)}")
            for event in got["events"]:
                assert event["seq"] == len(self.log) + 1, "a gap, or one twice"
                self.log.append(event)
            if len(self.log) >= got["head"]:
                return

    def said(self) -> Counter[str]:
        kind = "room.settings_changed"
        return Counter(event["metadata"] for event in self.log if event["type"] == kind)

    async def until_expired(self, invite: int) -> None:
        def expired() -> bool:
            return any(e["type"] == "invite.expired" and e["id"] == invite for e in self.log)

        async with asyncio.timeout(TTL_S + 5):
            while not expired():
                await asyncio.sleep(0.05)
                await self.follow()

    async def until_left(self, who: str) -> None:
        def left() -> bool:
            return any(e["type"] == "seat.left" and e["identity"] == who for e in self.log)

        async with asyncio.timeout(TTL_S + 5):
            while not left():
                await asyncio.sleep(0.05)
                await self.follow()


@pytest.mark.slow
async def test_what_was_acknowledged_is_there_once_after_every_kill(tmp_path: Path) -> None:
    """Each round starts a Python program, which takes most of its time."""
    chance, path = random.Random(SEED), tmp_path / "utd.db"  # noqa: S311
    victim = Victim(path)
    async with plain_http() as http:
        load = Load(victim, http)
        reader = Reader(load)
        clients: list[asyncio.Task[None]] = []
        try:
            await load.join(await victim.start())
            taken = await load.ask("POST", "/seats/take", {"index": 0})  # and never appears
            assert taken["seq"] == 2
            clients = [asyncio.create_task(load.client(number)) for number in range(CLIENTS)]
            for round_ in range(ROUNDS):
                guest = {"identity": f"guest{round_}"}
                key = f"invite-{round_}"
                invited = await load.until_it_answers("POST", "/invites", guest, key)
                await load.after(chance.choice((0, 1, chance.randrange(40), chance.randrange(120))))
                before = dict(load.acknowledged)
                await victim.kill()
                await victim.start()
                await reader.follow()
                said = reader.said()
                assert max(said.values(), default=1) == 1
                for text, seq in before.items():
                    assert reader.log[seq - 1]["metadata"] == text
                if round_ % 5 == 0:
                    await reader.until_expired(invited["request"]["id"])
            await reader.until_expired(invited["request"]["id"])
            await reader.until_left("host")
            for client in clients:
                client.cancel()
            ended = await asyncio.gather(*clients, return_exceptions=True)
            assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended
            await reader.follow()
            assert set(load.acknowledged) <= set(reader.said())
            assert max(reader.said().values()) == 1
        except BaseException as error:
            error.add_note(f"UTD_CRASH_SEED={SEED}")
            raise
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
            await victim.kill()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    print(f"{len(load.acknowledged)} acknowledged over {ROUNDS} kills, {load.replays} replays")
