"""Asking for a place and being offered one: who asks, what was offered, and the answers."""

import logging
from typing import ClassVar, Final

from utd_protocol import events as ev
from utd_protocol.answers import CommandAnswer, RequestsAnswer
from utd_protocol.types import Target
from utd_protocol.views import Request
from utd_stream._engine.http import read
from utd_stream._errors import RequestRejected
from utd_stream._models import Invite, UTDTokenResponse
from utd_stream._observable import Observable
from utd_stream._sessions.door import Door
from utd_stream._sessions.room_session import RoomSession, given
from utd_stream._sessions.updates import Update

_log: Final = logging.getLogger("utd_stream.session")


class RequestsSession(RoomSession):
    """Adds requests and invites. The public log may say only that somebody asked.

    What it leaves out is asked of the engine by those who may know, each time it changed.
    """

    _target: ClassVar[Target] = Target.SEAT

    def __init__(self, door: Door, answer: UTDTokenResponse) -> None:
        super().__init__(door, answer)
        self._details: dict[int, Request] = {}
        self._requests: Observable[tuple[Request, ...]] = Observable(self._known_requests())
        self._invites: Observable[tuple[Invite, ...]] = Observable(self._own_invites())

    @property
    def requests(self) -> Observable[tuple[Request, ...]]:
        """Who asks for a place, oldest first.

        Moderators see each request whole. Where the policy `requests_visible` hides them from
        others, these see their own, and of every other one nothing but its id.
        """
        return self._requests

    @property
    def invites(self) -> Observable[tuple[Invite, ...]]:
        """What this user was offered and has not answered yet."""
        return self._invites

    async def reject_request(self, request_id: int) -> None:
        """Say no to somebody who asks. For moderators.

        Raises:
            NotFound: there is no such request.
            Conflict: somebody else has handled it (`already_handled`).
        """
        await self._order("POST", f"/requests/{request_id}/reject")

    async def cancel_request(self, request_id: int) -> None:
        """Withdraw one's own request.

        Raises:
            NotFound: there is no such request.
            Conflict: it has been handled (`already_handled`).
        """
        await self._order("POST", f"/requests/{request_id}/cancel")

    async def decline_invite(self, invite_id: int) -> None:
        """Refuse what was offered.

        Raises:
            NotFound: there is no such invite.
            Conflict: it is no longer pending (`already_handled`).
        """
        await self._order("POST", f"/invites/{invite_id}/decline")

    async def cancel_invite(self, invite_id: int) -> None:
        """Withdraw an offer. For moderators.

        Raises:
            NotFound: there is no such invite.
            Conflict: it has been answered (`already_handled`).
        """
        await self._order("POST", f"/invites/{invite_id}/cancel")

    async def _request(self, note: str, **place: object) -> Request | None:
        body = given(target=self._target, note=note, **place)
        return self._noted(await self._order("POST", "/requests", body))

    async def _approve(self, request_id: int) -> None:
        await self._order("POST", f"/requests/{request_id}/approve")

    async def _invite(self, identity: str, **place: object) -> Invite | None:
        body = given(target=self._target, identity=identity, **place)
        return self._noted(await self._order("POST", "/invites", body))

    def _noted(self, answer: CommandAnswer) -> Request | None:
        """Keep what only the answer says of a request of one's own."""
        if answer.request is not None and answer.request.identity is not None:
            self._details[answer.request.id] = answer.request
            self._changed(())
        return answer.request

    def _changed(self, updates: tuple[Update, ...]) -> None:
        super()._changed(updates)
        pending = {request.id for request in self._view.value.requests}
        settled = {each.id for each in updates if isinstance(each, ev.REQUEST_SETTLED)}
        self._details = {
            id_: request
            for id_, request in self._details.items()
            if id_ in pending and id_ not in settled
        }
        self._requests._set(self._known_requests())  # noqa: SLF001 its owner sets it
        self._invites._set(self._own_invites())  # noqa: SLF001
        if self._lacks_details():
            self._follower.wake()

    def _accept(self, answer: UTDTokenResponse) -> None:
        super()._accept(answer)
        self._changed(())

    async def _caught_up(self) -> None:
        await super()._caught_up()
        if not self._lacks_details():
            return
        try:
            page = await self._ask(read(f"{self._door.path}/requests"), RequestsAnswer)
        except RequestRejected as error:
            _log.debug("the requests cannot be read: %s", error)
            return
        self._details |= {request.id: request for request in page.items}
        self._requests._set(self._known_requests())  # noqa: SLF001

    def _lacks_details(self) -> bool:
        return self._may("requests.read") and any(
            request.identity is None and request.id not in self._details
            for request in self._view.value.requests
        )

    def _known_requests(self) -> tuple[Request, ...]:
        whole = (
            request if request.identity is not None else self._details.get(request.id, request)
            for request in self._view.value.requests
        )
        return tuple(
            request
            for request in whole
            if request.identity is not None or not self._may("requests.read")
        )

    def _own_requests(self) -> set[int]:
        return {each.id for each in self._requests.value if each.identity == self.identity}

    def _own_invites(self) -> tuple[Invite, ...]:
        return tuple(each for each in self._view.value.invites if each.identity == self.identity)

    def _close_values(self) -> None:
        super()._close_values()
        self._requests._close()  # noqa: SLF001
        self._invites._close()  # noqa: SLF001
