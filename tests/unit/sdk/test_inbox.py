import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from support.scripted_engine import scripted
from support.scripted_inbox import ScriptedInbox, answered, incoming, over, with_inbox

from utd_stream._errors import (
    AuthRejected,
    Banned,
    Lagged,
    Limited,
    NotAuthenticated,
    Replaced,
)


async def take(events: AsyncIterator[Any], count: int) -> list[int]:
    async with asyncio.timeout(5):
        return [(await anext(events)).seq for _ in range(count)]


async def rest(events: AsyncIterator[Any]) -> list[Any]:
    async with asyncio.timeout(5):
        return [event async for event in events]


async def unconnected(inbox: ScriptedInbox) -> None:
    assert inbox.socket is not None
    async with asyncio.timeout(5):
        while not inbox.socket.closed:
            await asyncio.sleep(0)


async def test_nobody_signed_in_has_no_inbox() -> None:
    async with scripted() as (_, client):
        for ask in (client.inbox, client.incoming_calls):
            with pytest.raises(NotAuthenticated):
                ask()
        for wait in (client.inbox_head, client.calls):
            with pytest.raises(NotAuthenticated):
                await wait()


async def test_by_default_it_begins_now() -> None:
    async with with_inbox() as (_, inbox, client):
        await inbox.add(incoming())
        async with aclosing(client.inbox()) as events:
            first = asyncio.create_task(take(events, 1))
            await inbox.connected()
            await inbox.add(over())
            assert await first == [2]
        assert inbox.firsts == [{"token": "user-bo-1", "after": None}]


async def test_a_cursor_gives_what_is_older_in_order_and_once() -> None:
    async with with_inbox() as (_, inbox, client):
        for _ in range(5):
            await inbox.add(incoming())
        assert await client.inbox_head() == 5
        async with aclosing(client.inbox(after=1)) as events:
            assert await take(events, 4) == [2, 3, 4, 5]
            await inbox.connected()
            await inbox.add(over(), times=3)
            await inbox.add(over())
            assert await take(events, 2) == [6, 7]


async def test_readers_share_a_socket_and_do_not_hold_each_other_up() -> None:
    async with with_inbox() as (_, inbox, client):
        async with aclosing(client.inbox(after=0)) as one, aclosing(client.inbox(after=0)) as two:
            first = asyncio.create_task(take(one, 3))
            await inbox.connected()
            for _ in range(3):
                await inbox.add(incoming())
            assert await first == [1, 2, 3]
            assert await take(two, 3) == [1, 2, 3]
        assert len(inbox.firsts) == 1


@pytest.mark.parametrize("code", [1012, 1013, 4408, 4413, 1000])
async def test_it_comes_back_with_its_cursor(code: int) -> None:
    async with with_inbox() as (_, inbox, client):
        async with aclosing(client.inbox(after=0)) as events:
            first = asyncio.create_task(take(events, 1))
            await inbox.connected()
            await inbox.add(incoming())
            assert await first == [1]
            await inbox.close(code)
            await inbox.add(over())
            assert await take(events, 1) == [2]
            await inbox.connected()
            await inbox.add(over())
            assert await take(events, 1) == [3]
        assert inbox.firsts[-1]["after"] in {1, 2}


async def test_a_gap_on_the_wire_is_read_again() -> None:
    async with with_inbox() as (_, inbox, client), aclosing(client.inbox(after=0)) as events:
        first = asyncio.create_task(take(events, 3))
        await inbox.connected()
        socket, inbox.socket = inbox.socket, None
        await inbox.add(incoming())
        await inbox.add(incoming())
        inbox.socket = socket
        await inbox.add(over())
        assert await first == [1, 2, 3]


async def test_a_refused_token_is_renewed_once() -> None:
    async with with_inbox() as (engine, inbox, client):
        inbox.refuses = [4401]
        async with aclosing(client.inbox()) as events:
            first = asyncio.create_task(take(events, 1))
            await inbox.connected()
            await inbox.add(incoming())
            assert await first == [1]
        assert [each["token"] for each in inbox.firsts] == ["user-bo-1", "user-bo-2"]

        await unconnected(inbox)
        inbox.refuses = [4401, 4401]
        with pytest.raises(AuthRejected):
            await rest(client.inbox())
        assert len(engine.asked("POST /auth/refresh")) == 2


@pytest.mark.parametrize(("code", "error"), [(4403, Banned), (4409, Replaced), (4429, Limited)])
async def test_what_does_not_heal_is_raised_to_everybody(code: int, error: type[Exception]) -> None:
    async with with_inbox() as (_, inbox, client):
        readers = [asyncio.create_task(rest(client.inbox())) for _ in range(2)]
        readers.append(asyncio.create_task(rest(client.incoming_calls())))
        await inbox.connected()
        await inbox.close(code)
        ends = await asyncio.gather(*readers, return_exceptions=True)
        assert [type(each) for each in ends] == [error] * 3
        assert len(inbox.firsts) == 1

        later = asyncio.create_task(anext(client.inbox()))
        await inbox.connected()
        await inbox.add(incoming())
        assert (await later).seq == 1


async def test_a_cursor_that_is_too_old_is_told() -> None:
    async with with_inbox() as (_, inbox, client):
        for _ in range(4):
            await inbox.add(incoming())
        inbox.kept_from = 3
        with pytest.raises(Lagged) as lagged:
            await rest(client.inbox(after=0))
        assert lagged.value.code == "snapshot_required"


async def test_a_socket_whose_cursor_is_too_old_begins_anew() -> None:
    async with with_inbox() as (_, inbox, client), aclosing(client.inbox()) as events:
        first = asyncio.create_task(take(events, 1))
        await inbox.connected()
        inbox.refuses = [4410]
        await inbox.close()
        await inbox.connected()
        assert inbox.firsts[-1]["after"] is None
        await inbox.add(incoming())
        assert await first == [1]


async def test_without_a_socket_it_is_polled() -> None:
    async with with_inbox(jitter=0) as (engine, inbox, client):
        assert engine.server is not None
        await inbox.add(incoming())
        engine.server.on_socket = None
        async with aclosing(client.inbox(after=0)) as events:
            assert await take(events, 1) == [1]
            await inbox.add(over())
            assert await take(events, 1) == [2]
        assert inbox.firsts == []


async def test_closing_the_client_ends_readers_without_an_error() -> None:
    async with with_inbox() as (_, inbox, client):
        readers = [
            asyncio.create_task(rest(each)) for each in (client.inbox(), client.incoming_calls())
        ]
        await inbox.connected()
        await client.dispose()
        assert await asyncio.gather(*readers) == [[], []]


async def test_another_user_has_another_inbox() -> None:
    async with with_inbox() as (_, inbox, client):
        reader = asyncio.create_task(rest(client.inbox()))
        await inbox.connected()
        await client.authenticate(identity="cem")
        assert await reader == []
        assert client.identity == "cem"


async def test_nothing_runs_while_nobody_reads() -> None:
    async with with_inbox() as (_, inbox, client):
        async with aclosing(client.inbox()) as events:
            reading = asyncio.create_task(anext(events))
            await inbox.connected()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await unconnected(inbox)


async def test_an_event_of_a_newer_engine_keeps_its_place() -> None:
    async with with_inbox() as (_, inbox, client), aclosing(client.inbox(after=0)) as events:
        first = asyncio.create_task(take(events, 2))
        await inbox.connected()
        assert inbox.socket is not None
        await inbox.socket.send_str('{"seq":1,"type":"gift.received","gold":5}')
        inbox.log.append(None)
        await inbox.add(answered("tablet"))
        assert await first == [1, 2]
