"""What the engine measures beside HTTP. Base units, one prefix, labels bound to closed lists."""

from collections.abc import Callable
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from utd_engine.app.presence import Repairs
from utd_engine.ports.rooms import Key

_FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """Owns the registry. Each method is handed to the part that reports."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._sfu = Counter(
            "engine_sfu_requests_total",
            "Calls to LiveKit's API.",
            ("method", "code"),
            registry=self.registry,
        )
        self._sfu_seconds = Histogram(
            "engine_sfu_request_duration_seconds",
            "Duration of calls to LiveKit's API.",
            ("method",),
            registry=self.registry,
            buckets=_FAST,
        )
        self._commit_seconds = Histogram(
            "engine_db_commit_duration_seconds",
            "Duration of a group of transactions.",
            registry=self.registry,
            buckets=_FAST,
        )
        self._group = Histogram(
            "engine_db_group_size",
            "Transactions that shared a commit.",
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32, 64),
        )
        self._webhooks = Counter(
            "engine_webhook_events_total",
            "LiveKit's webhooks and what became of them.",
            ("event", "result"),
            registry=self.registry,
        )
        self._reconciled = Counter(
            "engine_reconcile_runs_total",
            "Comparisons of a room with LiveKit.",
            ("result",),
            registry=self.registry,
        )
        self._events = Counter(
            "engine_events_total", "Events appended to logs.", ("type",), registry=self.registry
        )
        self._limited = Counter(
            "engine_rate_limited_total",
            "Requests over a limit.",
            ("tier",),
            registry=self.registry,
        )
        self.sockets = Gauge(
            "engine_ws_connections", "Inboxes that are followed now.", registry=self.registry
        )
        self.media_up = Gauge("engine_sfu_up", "1 while LiveKit answers.", registry=self.registry)
        build = Gauge(
            "engine_build_info", "The running version.", ("version",), registry=self.registry
        )
        build.labels(version("utd-engine")).set(1)

    def watch_sockets(self, count: Callable[[], int]) -> None:
        """How many inboxes are followed over a WebSocket, asked at each scrape."""
        self.sockets.set_function(count)

    def sfu_call(self, method: str, code: str, seconds: float) -> None:
        """One call to LiveKit."""
        self._sfu.labels(method, code).inc()
        self._sfu_seconds.labels(method).observe(seconds)

    def committed(self, size: int, seconds: float) -> None:
        """One group of the writer."""
        self._group.observe(size)
        self._commit_seconds.observe(seconds)

    def webhook(self, event: str, result: str) -> None:
        """One webhook."""
        self._webhooks.labels(event, result).inc()

    def reconciled(self, key: Key, repairs: Repairs) -> None:
        """One visit of the sweep."""
        del key
        drift = repairs.recreated or repairs.pushed or repairs.removed
        self._reconciled.labels("repaired" if drift else "agreed").inc()

    def limited(self, tier: str) -> None:
        """One request that was over a limit."""
        self._limited.labels(tier).inc()

    def event(self, kind: str) -> None:
        """One event of a log."""
        self._events.labels(kind).inc()
