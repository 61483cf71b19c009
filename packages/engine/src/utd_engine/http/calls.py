"""Calls over HTTP: start, what each party says, and the list of one's own."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec import structs

from utd_engine.app.admission import Person
from utd_engine.app.commits import Context, Idempotency
from utd_engine.domain.refusal import Refused
from utd_engine.domain.turn import Actor
from utd_engine.http.call import Call
from utd_engine.http.handlers import Services, rate_headers
from utd_engine.ports.rooms import Key
from utd_protocol import commands as c
from utd_protocol.answers import CallAnswer, CallRequest, Page

_request: Final = msgspec.json.Decoder(CallRequest)


async def start(services: Services, call: Call) -> CallAnswer:
    """Call somebody: all their devices ring."""
    wish = call.parse(_request)
    person = _person(call)
    _limit(services, call)
    sent = call.idempotency()
    answer = await services.calls.start(call.app, person, wish, sent)
    _mark_replayed(call, sent)
    return answer


async def show(services: Services, call: Call) -> CallAnswer:
    """One call, for its parties."""
    reader = None if call.actor.kind == "server" else call.actor.identity
    return await services.calls.get(_key(call), reader)


async def listing(services: Services, call: Call) -> Page[CallAnswer]:
    """One's own calls, newest first."""
    identity = _identity(call)
    cursor = call.query.get("cursor")
    return await services.calls.history(call.app, identity, cursor, call.limit)


async def accept(services: Services, call: Call) -> CallAnswer:
    """Answer on this device. One device wins, and gets the token."""
    person = _person(call)
    _limit(services, call)
    context = Context(_party(call), call.request_id)
    return await services.calls.accept(_key(call), person, context)


def command(kind: type[c.CallCommand]) -> Callable[[Services, Call], Awaitable[CallAnswer]]:
    """A handler that carries out one command about a call."""
    decoder = msgspec.json.Decoder(kind)

    async def handle(services: Services, call: Call) -> CallAnswer:
        order = call.parse(decoder)
        _limit(services, call)
        sent = call.idempotency()
        context = Context(_party(call), call.request_id, sent)
        answer = await services.calls.act(_key(call), order, context)
        _mark_replayed(call, sent)
        return answer

    handle.__doc__ = kind.__doc__
    return handle


def _mark_replayed(call: Call, sent: Idempotency | None) -> None:
    if sent is not None and sent.replayed:
        call.extra.append((b"idempotent-replayed", b"true"))


def _party(call: Call) -> Actor:
    """A bearer of another room says who somebody is, but nothing about how often they left here."""
    return structs.replace(call.actor, generation=None)


def _key(call: Call) -> Key:
    return Key(call.app.app_id, "room", call.params["id"])


def _identity(call: Call) -> str:
    if call.actor.identity is None:
        raise Refused(
            "invalid_request",
            "The request is about whoever makes it, and nobody is named.",
            hint="Act for a user with X-Act-As.",
            field="X-Act-As",
        )
    return call.actor.identity


def _person(call: Call) -> Person:
    claims = call.claims
    if claims is None:
        return Person(_identity(call), "server")
    return Person(claims.sub, claims.device, claims.name, unproven=claims.unproven)


def _limit(services: Services, call: Call) -> None:
    if call.actor.kind == "user":
        left = services.writes.take(f"{call.app.app_id}:{call.actor.label}")
        call.extra += rate_headers(left)
