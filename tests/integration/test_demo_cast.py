"""The processes of the demo: what the director learns when one fails or dies."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from utd_cli.demos import orders as o
from utd_cli.demos.cast import Client, ClientFailed


def _unheard(name: str, news: o.News) -> None:
    raise AssertionError(f"{name} has news: {news}")


async def test_an_order_that_fails_names_person_order_and_reason(tmp_path: Path) -> None:
    async with Client.start("ana", tmp_path / "ana.log", _unheard) as ana:
        with pytest.raises(ClientFailed, match=r"^ana: Hush: RuntimeError: Join first\.$"):
            await ana.tell(o.Hush())
        with pytest.raises(ClientFailed, match=r"^ana: LastSound: KeyError"):
            await ana.ask(o.LastSound(who="bea"), o.At)


async def test_a_client_that_dies_fails_the_order_at_once(tmp_path: Path) -> None:
    log = tmp_path / "ana.log"
    async with Client.start("ana", log, _unheard) as ana:
        with pytest.raises(ClientFailed):
            await ana.tell(o.Hush())
        log.write_text("the last words")
        os.kill(ana._process.pid, signal.SIGSTOP)
        waiting = asyncio.create_task(ana.tell(o.Hush()))
        os.kill(ana._process.pid, signal.SIGKILL)
        ended = r"(?s)^ana: its process ended.*the last words"
        async with asyncio.timeout(5):
            with pytest.raises(ClientFailed, match=ended):
                await waiting
            with pytest.raises(ClientFailed, match=ended):
                await ana.tell(o.Hush())


async def test_clients_end_with_the_director(tmp_path: Path) -> None:
    async with Client.start("ana", tmp_path / "ana.log", _unheard) as ana:
        process = ana._process
    assert process.returncode == 0
