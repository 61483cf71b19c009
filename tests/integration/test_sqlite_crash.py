"""What `SqliteStore` acknowledged survives kill -9 and failed syncs; what it refused is not there.

`UTD_CRASH_ROUNDS=200` kills more often, `UTD_CRASH_SEED` repeats a run's kill points.
"""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from support.sqlite_crash_writer import WORKERS

from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.ports.rooms import Key

WRITER = Path(__file__).parents[1] / "support/sqlite_crash_writer.py"
ROUNDS = int(os.environ.get("UTD_CRASH_ROUNDS", "20"))
SEED = int(os.environ.get("UTD_CRASH_SEED", "0")) or random.SystemRandom().getrandbits(32)
EVERYTHING = 10**9


def killed_after(path: Path, run: int, answers: int) -> list[str]:
    """Start the writer and kill it after so many answers; all answers that it gave."""
    arguments = [sys.executable, str(WRITER), str(path), str(run), "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(answers)]
        writer.kill()
        said += writer.stdout
    return said


def tokens(said: Iterable[str], word: str) -> set[bytes]:
    """The tokens of complete lines."""
    lines = (line.split() for line in said if line.endswith("\n"))
    return {line[1].encode() for line in lines if line[0] == word}


async def check(path: Path, acknowledged: set[bytes], refused: set[bytes]) -> None:
    """The file is sound and gap-free, with all that was acknowledged and nothing refused."""
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()
    store = await SqliteStore.open(path)
    log = await store.log("ap1", 0, EVERYTHING)
    found = [row.data for row in log]
    assert len(found) == len(set(found)), "nothing is there twice"
    assert acknowledged <= set(found)
    assert not refused & set(found)
    inbox = await store.events(Key("ap1", "inbox", "ana"), 0, EVERYTHING)
    assert [row.seq for row in inbox] == list(range(1, len(log) + 1))
    assert [row.data for row in inbox] == found, "an append is in whole or not at all"
    for worker in range(WORKERS):
        key = Key("ap1", "room", f"rm_{worker}")
        events = await store.events(key, 0, EVERYTHING)
        assert [row.seq for row in events] == list(range(1, len(events) + 1))
        now = await store.load(key)
        assert (now is None) == (events == [])
        if now is not None:
            assert (now.seq, now.version) == (len(events), len(events))
            assert now.state.rstrip(b"x") == events[-1].data
            assert await store.resolve("ap1", f"room:x:{worker}") == key
    await store.aclose()


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path, chance = tmp_path / "utd.db", random.Random(SEED)  # noqa: S311
    acknowledged: set[bytes] = set()
    for run in range(ROUNDS):
        answers = chance.choice((0, 1, chance.randrange(600), chance.randrange(3000)))
        acknowledged |= tokens(killed_after(path, run, answers), "in")
        try:
            await check(path, acknowledged, set())
        except AssertionError as error:
            error.add_note(f"UTD_CRASH_SEED={SEED}, round {run}, killed after {answers} answers")
            raise
    assert acknowledged


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to fail a sync")
@pytest.mark.parametrize("when", ["12+1", "12+2", "15+5", "40+17", "60"])
async def test_a_failed_sync_is_answered_by_what_the_disk_has(tmp_path: Path, when: str) -> None:
    path = tmp_path / "utd.db"
    await (await SqliteStore.open(path)).aclose()
    inject = f"--inject=fdatasync,fsync:error=EIO:when={when}"
    arguments: Sequence[str] = [
        *("strace", "-f", "-o", os.devnull, "--trace=fdatasync,fsync", inject),
        *(sys.executable, str(WRITER), str(path), when, "30"),
    ]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    said = done.stdout.splitlines(keepends=True)
    acknowledged, refused = tokens(said, "in"), tokens(said, "out")
    assert len(said) <= WORKERS * 30
    await check(path, acknowledged, refused)
