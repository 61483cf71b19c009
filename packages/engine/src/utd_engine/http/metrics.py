"""What the HTTP edge measures: durations by route, with labels bound once."""

from collections.abc import Callable
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, Histogram

Observe: TypeAlias = Callable[[str, str, int, float], None]

BUCKETS: Final = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
)  # fmt: skip


def http_observer(registry: CollectorRegistry) -> Observe:
    """A function that takes method, route template, status and seconds of every request."""
    durations = Histogram(
        "http_server_request_duration_seconds",
        "Time from reading a request to its answer.",
        ("http_request_method", "http_route", "http_response_status_code"),
        registry=registry,
        buckets=BUCKETS,
    )
    bound: dict[tuple[str, str, int], Histogram] = {}

    def observe(method: str, route: str, status: int, seconds: float) -> None:
        labels = (method, route, status)
        child = bound.get(labels)
        if child is None:
            child = bound[labels] = durations.labels(method, route, str(status))
        child.observe(seconds)

    return observe
