"""Audio rooms: speakers sit on seats, listeners listen. Sitting is what grants the microphone."""

from collections.abc import Iterable
from typing import Literal

from utd_protocol import events as ev
from utd_protocol.types import Role, SeatMode, Source
from utd_protocol.views import Request, RoomView, Seat
from utd_stream._engine.http import decode, read, write
from utd_stream._errors import Closed
from utd_stream._media.frames import AudioInput
from utd_stream._models import Invite, UTDTokenResponse
from utd_stream._observable import Observable
from utd_stream._sessions.door import Door
from utd_stream._sessions.place_media import Place, PlaceMedia
from utd_stream._sessions.requests import RequestsSession
from utd_stream._sessions.room_session import given
from utd_stream._sessions.updates import Update


class UTDAudioRoomSession(RequestsSession):
    """One user in an audio room. Made by `client.join_audio_room`.

    The reference's `UTDAudioRoomSession`. The microphone follows the wish and the right: taking
    a seat, asking to speak and accepting an invite make the wish, `set_microphone(False)` and
    the loss of the seat end it. Nobody else can open it.
    """

    def __init__(self, door: Door, answer: UTDTokenResponse) -> None:
        super().__init__(door, answer)
        self._seats: Observable[tuple[Seat, ...]] = Observable(answer.room.seats)
        self._speaking_seats: Observable[tuple[int, ...]] = Observable(())
        door.room.active_speakers.listen(lambda _: self._show_speakers())
        seat = Place(name="the seat", find=self._seat_in, allowed=_allowed)
        self._media = PlaceMedia(door.room, self._view, seat, door.http.timeout)

    # What is.

    @property
    def seats(self) -> Observable[tuple[Seat, ...]]:
        """All seats, by index."""
        return self._seats

    @property
    def speaking_seats(self) -> Observable[tuple[int, ...]]:
        """Indices of the seats whose occupants speak now, loudest first, about a second late."""
        return self._speaking_seats

    @property
    def seat(self) -> Seat | None:
        """The seat on which this user sits, or which is held for them now."""
        return self._view.value.seat_of(self.identity)

    async def get_seats(self) -> dict[str, object]:
        """Ask the engine for the grid. The reference's `getSeats`.

        Returns:
            The raw answer: `{seq, seats, seat_count, seat_mode, mode_id}`.
        """
        return await self._ask(read(f"{self._door.path}/seats"), dict[str, object])

    # One's own seat.

    async def take_seat(self, index: int | None = None) -> Seat:
        """Sit down and speak. The reference's `takeSeat`.

        Cancelling while it waits for the microphone leaves the user seated and silent.

        Args:
            index: which seat, from 0; the lowest free one by default.

        Returns:
            The seat, once the microphone is live; or silent at once, when the seat's microphone
            is locked or the user is hard-muted.

        Raises:
            NotFound: there is no such seat.
            Conflict: it is taken or locked, none is free, the user sits elsewhere, or somebody
                took the seat away meanwhile.
            NotAllowed: the room's mode asks for a request or an invite, or it is reserved.
            PublishFailed: seated, but LiveKit did not take the microphone in time.
        """
        with self._media.wish(Source.MICROPHONE):
            await self._order("POST", "/seats/take", given(index=index))
            return await self._media.live()

    async def leave_seat(self) -> None:
        """Stand up: a listener again, the microphone off. Not seated: nothing happens.

        The reference's `leaveSeat`.
        """
        await self._order("POST", "/seats/leave")
        self._media.want(Source.MICROPHONE, wanted=False)

    async def move_seat(self, index: int) -> None:
        """Change to another free seat in one step; the microphone stays on.

        Raises:
            NotFound: there is no such seat.
            Conflict: it is not free, or this user sits nowhere.
        """
        await self._order("POST", "/seats/move", {"index": index})

    async def set_microphone(self, enabled: bool, source: AudioInput | None = None) -> None:  # noqa: FBT001 as in the base class
        """Switch the microphone on or off. See `UTDSession.set_microphone`."""
        if not enabled:
            self._media.note(Source.MICROPHONE, wanted=False)
        await super().set_microphone(enabled, source)
        if enabled:
            self._media.note(Source.MICROPHONE, wanted=True)

    # Asking and being asked.

    async def request_to_speak(self, index: int | None = None, *, note: str = "") -> Request | None:
        """Ask for a seat. The reference's `requestToSpeak`.

        It returns when the request is filed; the microphone opens by itself once it is approved,
        and `seats` shows it. Asking twice is one request.

        Args:
            index: the seat wished for.
            note: what the moderators read, 200 characters at most.

        Returns:
            The request. None when an invite was waiting: it is accepted, and this user sits.

        Raises:
            Conflict: this user sits already.
            Limited: 500 requests are pending.
        """
        with self._media.wish(Source.MICROPHONE):
            request = await self._request(note, index=index)
            if self.seat is not None:
                await self._media.live()
                return None
            return request

    async def accept_invite(self, invite_id: int) -> Seat:
        """Take the seat that was offered, and speak. Returns and raises as `take_seat` does.

        Raises:
            NotFound: there is no such invite.
            Conflict: it is no longer pending, or no seat is free.
        """
        with self._media.wish(Source.MICROPHONE):
            await self._order("POST", f"/invites/{invite_id}/accept")
            return await self._media.live()

    # For moderators.

    async def setup_seats(
        self,
        seat_count: int | None = None,
        seat_mode: SeatMode | str | None = None,
        mode_id: str | None = None,
        *,
        evict: bool = False,
    ) -> dict[str, object]:
        """Change the grid; what is not given stays. Host only. The reference's `setupSeats`.

        Args:
            seat_count: 1 to 64.
            seat_mode: `free`, `request` or `invite`.
            mode_id: a preset of the app, by name.
            evict: put those who sit beyond the new count back among the listeners.

        Returns:
            The raw answer of the engine.

        Raises:
            Conflict: somebody sits beyond the new count, and `evict` is false.
            NotFound: the app has no such preset.
        """
        body = given(count=seat_count, mode=seat_mode, mode_id=mode_id, evict=evict)
        raw = await self._send(write("PUT", f"{self._door.path}/seats", body))
        await self._fold_answer(raw)
        return decode(raw, dict[str, object])

    async def approve_speaker(self, request_id: int) -> None:
        """Seat somebody who asks: where they asked, else on the lowest free seat.

        The reference's `approveSpeaker`.

        Raises:
            NotFound: there is no such request.
            Conflict: somebody else has handled it, or no seat is free.
        """
        await self._approve(request_id)

    async def invite_to_speak(self, identity: str, seat_index: int | None = None) -> Invite | None:
        """Offer somebody a seat; they must accept. The reference's `inviteToSpeak`.

        Args:
            identity: whom.
            seat_index: a seat that is kept for them while the invite is pending.

        Returns:
            The invite. None when they had asked already: they are seated at once.

        Raises:
            Conflict: they sit already, or the seat is not free.
        """
        invite = await self._invite(identity, index=seat_index)
        return None if self._view.value.seat_of(identity) is not None else invite

    async def swap_seats(self, a: int, b: int) -> None:
        """Let the occupants of two seats change places; one of them may be empty."""
        await self._order("POST", "/seats/swap", {"a": a, "b": b})

    async def lock_seat(self, index: int, *, evict: bool = False) -> None:
        """Let nobody sit there.

        Args:
            index: which seat.
            evict: put its occupant back among the listeners; otherwise an occupied seat is a
                `Conflict`.
        """
        await self.lock_seats([index], evict=evict)

    async def lock_seats(
        self, indices: Iterable[int] | Literal["all"], *, evict: bool = False
    ) -> None:
        """Lock several seats, or `"all"`, in one step. See `lock_seat`."""
        await self._order("POST", "/seats/lock", {"indices": _listed(indices), "evict": evict})

    async def unlock_seat(self, index: int) -> None:
        """Open a locked seat again."""
        await self.unlock_seats([index])

    async def unlock_seats(self, indices: Iterable[int] | Literal["all"]) -> None:
        """Open several locked seats, or `"all"`, in one step."""
        await self._order("POST", "/seats/unlock", {"indices": _listed(indices)})

    async def mute_seat(self, index: int) -> None:
        """Lock a seat's microphone, for this occupant and the next."""
        await self._order("POST", "/seats/mute", {"index": index})

    async def unmute_seat(self, index: int) -> None:
        """Unlock a seat's microphone. An occupant who wished to speak is heard again."""
        await self._order("POST", "/seats/unmute", {"index": index})

    async def remove_from_seat(self, place: int | str) -> None:
        """Put somebody back among the listeners.

        Args:
            place: the seat's index, or who sits there.
        """
        body = {"index": place} if isinstance(place, int) else {"identity": place}
        await self._order("POST", "/seats/remove", body)

    async def reserve_seat(
        self, index: int, *, identity: str | None = None, role: Role | str | None = None
    ) -> None:
        """Keep a seat for one person or one role; neither opens it to all again.

        Args:
            index: which seat.
            identity: for whom.
            role: for which role.
        """
        body = {"index": index, **given(identity=identity, role=role)}
        await self._order("POST", "/seats/reserve", body)

    # Inside.

    def _accept(self, answer: UTDTokenResponse) -> None:
        self._media.restart()
        super()._accept(answer)

    def _changed(self, updates: tuple[Update, ...]) -> None:
        asked = self._own_requests()
        super()._changed(updates)
        self._seats._set(self._view.value.seats)  # noqa: SLF001 its owner sets it
        self._show_speakers()
        for update in updates:
            match update:
                case ev.SeatLeft(identity=self.identity, reason=reason):
                    self._media.place_lost(reason)
                case ev.RequestRejected() | ev.RequestCancelled() | ev.RequestExpired():
                    if update.id in asked and self.seat is None:
                        self._media.place_lost("the request was not granted")
                case _:
                    pass

    def _seat_in(self, view: RoomView) -> Seat | None:
        return view.seat_of(self.identity)

    def _show_speakers(self) -> None:
        seats = map(self._view.value.seat_of, self.active_speakers.value)
        self._speaking_seats._set(tuple(seat.index for seat in seats if seat))  # noqa: SLF001

    def _stopped(self, reason: Closed) -> None:
        super()._stopped(reason)
        self._media.stop(reason)

    def _close_values(self) -> None:
        super()._close_values()
        self._seats._close()  # noqa: SLF001
        self._speaking_seats._close()  # noqa: SLF001


def _allowed(view: RoomView, seat: Seat) -> frozenset[Source]:
    """What is heard of one who sits there: the microphone, unless it is locked or muted."""
    if seat.identity is None or seat.mic_locked:
        return frozenset()
    return frozenset({Source.MICROPHONE}).difference(view.member(seat.identity).muted)


def _listed(indices: Iterable[int] | Literal["all"]) -> list[int] | str:
    return indices if isinstance(indices, str) else sorted(set(indices))
