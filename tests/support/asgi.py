"""One raw request to an ASGI application: any bytes, any pieces, as a hostile client sends them."""

from collections.abc import Iterable, Sequence
from typing import Any

from utd_engine.testing import Answer


async def raw_call(
    app: Any,
    method: str,
    path: bytes,
    *,
    body: bytes | Sequence[bytes] = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    query: bytes = b"",
    remote: str = "192.0.2.1",
    breaks_off: bool = False,
) -> Answer:
    """The answer. A body in pieces comes as several messages; it may break off after the last."""
    pieces = [body] if isinstance(body, bytes) else list(body)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in headers],
        "client": (remote, 1),
        "server": ("127.0.0.1", 80),
    }
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    if breaks_off:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False
    coming = iter(messages)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(coming)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    got = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], got, b"".join(part.get("body", b"") for part in sent[1:]))
