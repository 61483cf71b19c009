"""The composition root: the only place that joins the edges to the adapters."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog
import uvicorn
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp

from utd_engine import config as cfg
from utd_engine.adapters.livekit.gateway import LiveKitGateway
from utd_engine.adapters.livekit.tokens import ApiKey
from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.app.admission import Admission
from utd_engine.app.agents import Agents
from utd_engine.app.apps import Apps
from utd_engine.app.bans import Bans
from utd_engine.app.calls import Calls
from utd_engine.app.commits import Commit
from utd_engine.app.entrance import Entrance
from utd_engine.app.inbox import Waiters
from utd_engine.app.limits import Limiter, Rate
from utd_engine.app.locating import Locator
from utd_engine.app.presence import Presence
from utd_engine.app.rights import Rights
from utd_engine.app.rooms import Rooms
from utd_engine.app.snapshots import Snapshots
from utd_engine.app.tokens import IdentityTokens, UserTokens
from utd_engine.background import Background
from utd_engine.config import Config, ConfigError
from utd_engine.hooks.livekit import LiveKitHooks
from utd_engine.http.admin import AdminAPI, Probes, admin_app
from utd_engine.http.auth import Authenticator
from utd_engine.http.handlers import Services
from utd_engine.http.inbox import InboxSocket
from utd_engine.http.metrics import http_observer
from utd_engine.http.server import OwnRoute, public_app
from utd_engine.loops.relay import Relay
from utd_engine.loops.sweep import Sweep
from utd_engine.loops.timers import Timers
from utd_engine.loops.trim import Trim
from utd_engine.metrics import Metrics
from utd_engine.ports.clock import Clock, Ids
from utd_engine.ports.media import MediaGateway, WebhookReader
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import Store
from utd_engine.system import SystemClock, SystemIds

HOOK_PATH: Final = "/hooks/livekit"
INBOX_PATH: Final = "/api/v1/ws"
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
DRAIN_S: Final = 5
KEEP_ALIVE_S: Final = 65
BACKLOG: Final = 2048
WS_MESSAGE_BYTES: Final = 64 * 1024
_log: Final = structlog.get_logger("utd.engine")


class Adapters(NamedTuple):
    """The world around the services; tests give other ones."""

    store: Store
    media: MediaGateway
    webhooks: WebhookReader
    clock: Clock
    ids: Ids
    metrics: Metrics


class Engine(NamedTuple):
    """A built engine: what its ports serve, and its services for those who embed it."""

    public: ASGIApp
    admin: ASGIApp
    services: Services
    identities: IdentityTokens
    presence: Presence
    sweep: Sweep
    relay: Relay
    probes: Probes
    hooks: LiveKitHooks
    background: Background
    metrics: Metrics
    inbox: InboxSocket


@asynccontextmanager
async def adapters(config: Config) -> AsyncGenerator[Adapters]:
    """The real ones: SQLite and LiveKit."""
    clock, metrics = SystemClock(), Metrics()
    store = await SqliteStore.open(Path(config.store.path), on_commit=metrics.committed)
    key = ApiKey(config.livekit.api_key, config.livekit.api_secret)
    media = LiveKitGateway(
        config.livekit.url,
        key,
        clock,
        api_url=cfg.api_url(config.livekit),
        observe=metrics.sfu_call,
    )
    reader = make_reader({key.key: key.secret}, clock)
    try:
        yield Adapters(store, media, reader, clock, SystemIds(), metrics)
    finally:
        await media.aclose()
        await store.aclose()


@asynccontextmanager
async def build(config: Config, world: Adapters | None = None) -> AsyncGenerator[Engine]:
    """Everything wired and every loop running, until the block ends.

    Raises:
        StoreUnavailable: the database cannot be opened.
        SchemaError: it has a schema that this engine does not know.
    """
    async with contextlib.AsyncExitStack() as stack:
        if world is None:
            world = await stack.enter_async_context(adapters(config))
        background = await stack.enter_async_context(Background())
        engine = _wire(config, world, background)
        engine.probes.is_started = True
        yield engine


class _Core(NamedTuple):
    """The services and loops of one engine, before its edges are there."""

    snapshots: Snapshots
    rooms: Rooms
    rights: Rights
    presence: Presence
    relay: Relay
    timers: Timers
    sweep: Sweep
    bans: Bans
    tokens: UserTokens
    identities: IdentityTokens
    admission: Admission
    agents: Agents
    waiters: Waiters


def _wire(config: Config, world: Adapters, background: Background) -> Engine:
    core = _core(config, world, background)
    _follow_commits(core, world.metrics)
    _tell_each_other(core, world.metrics)
    trim = Trim(world.store, world.clock, config.store.keep_days)
    for name, loop in (("timers", core.timers), ("sweep", core.sweep), ("trim", trim)):
        background.create_task(loop.serve(), name=name)
    return _with_edges(config, world, core, background)


def _core(config: Config, world: Adapters, background: Background) -> _Core:
    store, media, _, clock, ids, _ = world
    snapshots = Snapshots(store)
    rooms = Rooms(store, snapshots, clock)
    rights = Rights(snapshots, media, background)
    presence = Presence(store, snapshots, rooms, rights, media, clock)
    bans = Bans(store, clock)
    masters = [secret.encode() for secret in config.security.master_secrets]
    tokens = UserTokens(masters, clock)
    admission = Admission(store, snapshots, rooms, presence, media, tokens, bans, clock, ids)
    return _Core(
        snapshots=snapshots,
        rooms=rooms,
        rights=rights,
        presence=presence,
        relay=Relay(store, snapshots, media, clock, ids, background),
        timers=Timers(store, snapshots, rooms, clock),
        sweep=Sweep(store, presence, media, clock, background),
        bans=bans,
        tokens=tokens,
        identities=IdentityTokens(masters, clock),
        admission=admission,
        agents=Agents(rooms, admission, bans, media, clock=clock, ids=ids, tasks=background),
        waiters=Waiters(),
    )


def _follow_commits(core: _Core, metrics: Metrics) -> None:
    """Who learns of every commit, in this order and before its answer."""
    for follower in (
        core.relay.committed,
        core.timers.committed,
        core.sweep.committed,
        core.bans.committed,
        core.presence.committed,
        core.admission.committed,
        core.agents.committed,
        core.waiters.committed,
        partial(_count, metrics),
    ):
        core.rooms.follow(follower)
    core.rooms.settle_with(core.rights)


def _tell_each_other(core: _Core, metrics: Metrics) -> None:
    """What one part notices is another one's business."""
    presence, relay, sweep = core.presence, core.relay, core.sweep
    core.rooms.on_unknown = lambda key: _doubt(key, core.timers, relay, sweep)
    core.rights.on_failure = sweep.failed
    core.rights.before_end = relay.flush
    presence.metadata_of = relay.window
    presence.on_found = relay.nudge
    presence.on_forgotten = sweep.missing
    presence.on_counted = relay.audience
    presence.on_agents = core.agents.look
    relay.on_missing = sweep.hint
    relay.on_failure = sweep.failed
    sweep.on_repairs = metrics.reconciled
    sweep.on_forgotten = lambda: _forget_media(presence, core.admission)
    core.admission.on_expected = sweep.expect


def _services(config: Config, world: Adapters, core: _Core) -> Services:
    store, _, _, clock, ids, metrics = world
    limits, rooms, admission, bans = config.limits, core.rooms, core.admission, core.bans
    limiter = partial(Limiter, clock=clock, on_limited=metrics.limited)
    return Services(
        apps=Apps(store, clock, ids),
        rooms=rooms,
        admission=admission,
        entrance=Entrance(core.identities, core.tokens, bans, clock, ids),
        locator=Locator(core.snapshots, admission, bans),
        store=store,
        clock=clock,
        writes=limiter("writes", Rate(limits.writes_per_second, limits.writes_burst)),
        mints=limiter("tokens", Rate(limits.mints_per_second, limits.mints_burst)),
        calls=Calls(store, rooms, admission, bans, clock=clock, ids=ids),
        agents=core.agents,
    )


def _with_edges(config: Config, world: Adapters, core: _Core, background: Background) -> Engine:
    store, _, webhooks, clock, ids, metrics = world
    rate = Rate(config.limits.failures_per_second, config.limits.failures_burst)
    failures = Limiter("failures", rate, clock, on_limited=metrics.limited)
    services = _services(config, world, core)
    hooks = LiveKitHooks(webhooks, core.presence, core.sweep.hint, metrics.webhook, background)
    probes = Probes(store, lambda: core.sweep.media_ok, clock)
    inbox = InboxSocket(
        services.apps,
        core.tokens,
        core.bans,
        store=store,
        waiters=core.waiters,
        failures=failures,
        clock=clock,
        origins=config.http.origins,
    )
    metrics.watch_sockets(lambda: inbox.count)
    public = public_app(
        services,
        Authenticator(services.apps, core.tokens, failures),
        http_observer(metrics.registry),
        new_id=ids.new,
        origins=config.http.origins,
        https=config.http.public_url.startswith("https://"),
        extra=[OwnRoute(HOOK_PATH, hooks, methods=["POST"]), WebSocketRoute(INBOX_PATH, inbox)],
    )
    api, registry = AdminAPI(services.apps, core.identities), metrics.registry
    admin = admin_app(api, config.admin.token, probes, registry, ids.new)
    return Engine(
        public, admin, services, core.identities, core.presence, core.sweep, core.relay, probes,
        hooks, background, metrics, inbox,
    )  # fmt: skip


def _doubt(key: Key, timers: Timers, relay: Relay, sweep: Sweep) -> None:
    """A room may have changed unheard: all who follow look at the store."""
    timers.doubt(key)
    relay.doubt(key)
    sweep.hint(key)


def _forget_media(presence: Presence, admission: Admission) -> None:
    presence.forget_media()
    admission.forget_all_media()


def _count(metrics: Metrics, commit: Commit) -> None:
    for event in commit.events:
        metrics.event(event.type)


# --- serving --------------------------------------------------------------------------------------


class Serving(NamedTuple):
    """A running engine with its addresses."""

    engine: Engine
    base_url: str
    admin_url: str


@asynccontextmanager
async def serving(config: Config, world: Adapters | None = None) -> AsyncGenerator[Serving]:
    """The engine on its two ports until the block ends; then no request is cut off.

    Raises:
        ConfigError: a port is taken.
        StoreUnavailable: the database cannot be opened.
    """
    with contextlib.ExitStack() as sockets:
        public = sockets.enter_context(listen("http", config.http.host, config.http.port))
        admin = sockets.enter_context(listen("admin", config.admin.host, config.admin.port))
        async with build(config, world) as engine, served(engine, public, admin):
            base_url = config.http.public_url or url_of(public)
            engine.services.admission.ws_url = f"ws{base_url.removeprefix('http')}{INBOX_PATH}"
            yield Serving(engine, base_url, url_of(admin))


async def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT, or until a loop of the engine crashes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        for name in STOP_SIGNALS:  # A second one ends the process at once; nothing is lost by it.
            loop.remove_signal_handler(name)
        stop.set()

    for name in STOP_SIGNALS:
        loop.add_signal_handler(name, on_signal)
    async with serving(config) as running:
        _log.info("engine.ready", base_url=running.base_url, admin_url=running.admin_url)
        stopped = asyncio.ensure_future(stop.wait())
        crashed = running.engine.background.crashed
        either: set[asyncio.Future[Any]] = {stopped, crashed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        running.engine.probes.is_draining = True
        _log.info("engine.stopping")
        if crashed.done():
            crashed.result()


@asynccontextmanager
async def served(
    engine: Engine, public: socket.socket, admin: socket.socket
) -> AsyncGenerator[None]:
    """The two ports of a built engine on these sockets, until the block ends."""
    servers = [_Server(_uvicorn(engine.public)), _Server(_uvicorn(engine.admin))]
    running = [
        asyncio.create_task(server.serve(sockets=[listener]), name="http")
        for server, listener in zip(servers, (public, admin), strict=True)
    ]
    try:
        for server, task in zip(servers, running, strict=True):
            ready = asyncio.ensure_future(server.ready.wait())
            either: set[asyncio.Future[Any]] = {ready, task}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                ready.cancel()
                task.result()
        yield
    finally:
        engine.probes.is_draining = True
        engine.inbox.stop()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*running)


class _Server(uvicorn.Server):
    """Signals are ours, and readiness can be awaited."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when requests are taken."""
        await super().startup(sockets)
        self.ready.set()


def _uvicorn(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_max_size=WS_MESSAGE_BYTES,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        backlog=BACKLOG,
    )


def listen(section: str, host: str, port: int) -> socket.socket:
    """A socket bound to an address. `ConfigError` names the section when it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{section}.port: cannot listen on {host}:{port} ({error.strerror}). "
            "Stop what has it, or choose another port (0 takes any free one)."
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The base URL of what is served there."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
