"""A program to be killed: an engine on SQLite over a LiveKit that lives and dies with it.

`python crashing_engine.py PATH PORT` prints one line of JSON once it takes requests.
"""

import asyncio
import json
import sys
from pathlib import Path

from utd_engine import logs
from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.memory.media import MEMORY_KEY, MemoryGateway
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.config import HTTP, Admin, Config, Limits, LiveKit, Security
from utd_engine.main import Adapters, serving
from utd_engine.metrics import Metrics
from utd_engine.system import SystemClock, SystemIds


async def main(path: str, port: str) -> None:
    logs.configure("error", "json")
    clock = SystemClock()
    store = await SqliteStore.open(Path(path))
    reader = make_reader({MEMORY_KEY.key: MEMORY_KEY.secret}, clock)
    world = Adapters(store, MemoryGateway(clock), reader, clock, SystemIds(), Metrics())
    config = Config(
        http=HTTP(port=int(port)),
        admin=Admin(port=0),
        livekit=LiveKit(api_key="memory", api_secret="x" * 32),
        security=Security(master_secrets=("for-tests-only-for-tests-only-for-tests-only",)),
        limits=Limits(writes_per_second=0, mints_per_second=0, failures_per_second=0),
    )
    async with serving(config, world) as running:
        apps = running.engine.services.apps
        if known := await apps.all():
            app, key = known[0].app_id, ""
        else:
            tenant, publishable, _ = await apps.create("test", "development", None)
            app, key = tenant.app_id, publishable.key
        print(json.dumps({"app": app, "key": key}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
