"""What every client process of a demo does: orders come on stdin, answers go to stdout."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol, TypeVar

import msgspec

from utd_cli.demos import orders as o

OrderT_contra = TypeVar("OrderT_contra", contravariant=True)


class Follower(Protocol[OrderT_contra]):
    """Who carries the orders out."""

    async def follow(self, order: OrderT_contra, /) -> object:
        """Do it; what is returned is the answer."""
        ...


async def obey(
    make: Callable[[asyncio.TaskGroup, AsyncExitStack], Follower[Any]], orders: object
) -> None:
    """Take one order after another until there are no more.

    Args:
        make: gives who follows; what that starts ends with the task group.
        orders: the type, or the union of types, of the orders.
    """
    lines = await _open_stdin()
    decoder = msgspec.json.Decoder[o.Order](orders)
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as exits:
        # Whatever reads a session ends when the client, closed first, ends the session.
        follower = make(tasks, exits)
        while line := await lines.readline():
            write(await _carried_out(follower, decoder.decode(line)))


def write(line: o.AnyLine) -> None:
    """Tell the director."""
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


async def _carried_out(follower: Follower[Any], order: o.Order) -> o.Done | o.Failed:
    try:
        answer = await follower.follow(order)
    except Exception as error:  # noqa: BLE001  # it is told to who gave the order
        return o.Failed(f"{type(order).__name__}: {type(error).__name__}: {error}")
    return o.Done(msgspec.Raw(msgspec.json.encode(answer)))


async def _open_stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader
