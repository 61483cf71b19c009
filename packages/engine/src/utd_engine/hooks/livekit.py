"""LiveKit's webhooks: verified, told apart from repeats, turned into hints. Always answered 200.

Any other answer would make LiveKit hold back everything else of that room. What is lost here, the
sweep finds.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import structlog
from starlette.types import Receive, Scope, Send

from utd_engine.app.naming import parse_sfu_name
from utd_engine.app.presence import Presence
from utd_engine.ports.media import WebhookEvent, WebhookReader
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import StoreUnavailable
from utd_engine.ports.tasks import Tasks

SEEN: Final = 4096
BODY_LIMIT: Final = 1024 * 1024
_log: Final = structlog.get_logger("utd.hooks")

Count = Callable[[str, str], None]
"""Takes the event's name and what became of it."""


class LiveKitHooks:
    """`POST /hooks/livekit`."""

    def __init__(
        self,
        read: WebhookReader,
        presence: Presence,
        hint: Callable[[Key], None],
        count: Count,
        tasks: Tasks,
    ) -> None:
        self._read = read
        self._presence = presence
        self._hint = hint
        self._count = count
        self._tasks = tasks
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one webhook."""
        headers = dict(scope["headers"])
        body = await _body(receive)
        try:
            event = self._read(body, headers.get(b"authorization", b"").decode("latin-1"))
        except ValueError as error:
            self._count("unknown", "invalid")
            _log.warning("webhook.refused", reason=str(error))
            await _answer(send, 401)
            return
        await _answer(send, 200)
        self.take(event)

    def take(self, event: WebhookEvent) -> None:
        """Act on a webhook whose signature is good; a repeated one changes nothing."""
        if event.id in self._seen:
            self._count(event.event, "duplicate")
            return
        self._seen[event.id] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        name = parse_sfu_name(event.room)
        if name is None:
            self._count(event.event, "foreign")
            return
        key = Key(name.app, "room", name.room_id)
        self._count(event.event, "applied")
        if event.event == "participant_joined" and event.participant is not None:
            self._tasks.create_task(self._arrived(key, event), name=f"hook {key.id}")
        else:
            self._hint(key)

    async def _arrived(self, key: Key, event: WebhookEvent) -> None:
        try:
            if event.participant is not None:
                await self._presence.arrived(key, event.participant)
        except StoreUnavailable:
            _log.warning("webhook.store_unavailable", room=key.id)
        except Exception:  # noqa: BLE001 the sweep makes up for it
            _log.exception("webhook.failed", room=key.id)
        self._hint(key)


async def _body(receive: Receive) -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        if len(body) <= BODY_LIMIT:
            body += message.get("body", b"")
        more = bool(message.get("more_body"))
    return body


async def _answer(send: Send, status: int) -> None:
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
