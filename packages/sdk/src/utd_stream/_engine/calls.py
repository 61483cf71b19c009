"""The engine's calls, as one signed-in user asks and orders them over HTTP."""

from typing import Literal, TypeAlias

from utd_protocol.answers import CallRequest, Page
from utd_stream._engine.bearer import Bearer
from utd_stream._engine.http import decode, read, segment, write
from utd_stream._models import UTDCall

Word: TypeAlias = Literal["ringing", "reject", "ignore", "busy", "end"]


class Calls:
    """What any party may do to a call."""

    def __init__(self, bearer: Bearer) -> None:
        """Speak as this user."""
        self._bearer = bearer

    async def start(self, request: CallRequest) -> bytes:
        """Call somebody; the raw answer, which has tokens in it."""
        return await self._bearer.send(write("POST", "/calls", request))

    async def accept(self, call_id: str) -> bytes:
        """Answer on this device; the raw answer, which has tokens in it."""
        return await self._bearer.send(write("POST", f"{_path(call_id)}/accept"))

    async def say(self, call_id: str, word: Word) -> UTDCall:
        """Tell the engine something about a call, and how it stands then."""
        return decode(await self._bearer.send(write("POST", f"{_path(call_id)}/{word}")), UTDCall)

    async def get(self, call_id: str) -> UTDCall:
        """Look one up."""
        return decode(await self._bearer.send(read(_path(call_id))), UTDCall)

    async def history(self, cursor: str | None, limit: int | None) -> Page[UTDCall]:
        """One's own, newest first."""
        call = read("/calls", cursor=cursor, limit=limit)
        return decode(await self._bearer.send(call), Page[UTDCall])


def _path(call_id: str) -> str:
    return f"/calls/{segment(call_id)}"
