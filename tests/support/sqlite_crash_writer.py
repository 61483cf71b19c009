"""A program to be killed: it appends as fast as it can and says on stdout what the store answered.

`python sqlite_crash_writer.py PATH RUN APPENDS` writes `in TOKEN` or `out TOKEN` a line, where the
token is the data of the event. It ends after so many answers of each worker (0: never).
"""

import asyncio
import itertools
import os
import sys

from utd_engine.adapters.sqlite.rows import EPOCH
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.ports.idempotency import IdempotencyRecord
from utd_engine.ports.inbox import InboxEvent
from utd_engine.ports.rooms import Append, Key, Loaded, NewEvent
from utd_engine.ports.store import StoreUnavailable

WORKERS = 16
UNKNOWN = "shows when the disk is back"


def say(word: str, token: str) -> None:
    os.write(1, f"{word} {token}\n".encode())


def change(worker: int, now: Loaded, token: str) -> Append:
    data = token.encode()
    return Append(
        key=Key("ap1", "room", f"rm_{worker}"),
        expected_version=now.version,
        events=(NewEvent(now.seq + 1, "happened", EPOCH, data),),
        state=data + b"x" * (1000 * worker),
        wake_at=None,
        take_keys=(f"room:x:{worker}",),
        idempotency=IdempotencyRecord(token, "f", 200, data, EPOCH),
        inbox=(InboxEvent("ana", "told", EPOCH, data),),
    )


async def work(store: SqliteStore, worker: int, run: str, appends: int) -> None:
    for count in itertools.count():
        if appends and count == appends:
            return
        token = f"{run}-{worker}-{count}"
        now = await store.load(Key("ap1", "room", f"rm_{worker}")) or Loaded(b"", 0, 0)
        try:
            await store.append(change(worker, now, token))
        except StoreUnavailable as error:
            if UNKNOWN not in str(error):
                say("out", token)
        else:
            say("in", token)


async def main(path: str, run: str, appends: str) -> None:
    store = await SqliteStore.open(path)
    await asyncio.gather(*(work(store, n, run, int(appends)) for n in range(WORKERS)))
    os._exit(0)  # As a kill would: no checkpoint, so the next start recovers from the log.


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
