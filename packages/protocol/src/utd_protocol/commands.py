"""Orders that a client or a backend gives about a room. Each is one row of the HTTP table."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from utd_protocol.policy import PolicyPatch
from utd_protocol.types import (
    BanScope,
    IdentityField,
    ModeId,
    Reason,
    Role,
    SeatCount,
    SeatIndex,
    SeatMode,
    Source,
    Target,
    check_identity,
)

RequestId = Annotated[int, Meta(ge=1)]
Note = Annotated[str, Meta(max_length=200)]
Metadata = Annotated[str, Meta(max_length=4096)]
Sources = Annotated[tuple[Source, ...], Meta(max_length=4)]
Indices = Annotated[tuple[SeatIndex, ...], Meta(min_length=1, max_length=64)]
Excepted = Annotated[tuple[IdentityField, ...], Meta(max_length=256)]
Version = Annotated[int, Meta(ge=0)]
Moment = Annotated[datetime, Meta(tz=True)]


class _Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A closed struct: an unknown field is a mistake, not an extension."""


class _OfSomebody(_Command, frozen=True, kw_only=True):
    """A command about one person. A length in bytes cannot be said in a schema: it is checked."""

    identity: IdentityField

    def __post_init__(self) -> None:
        check_identity(self.identity)


class ConfigureSeats(_Command, frozen=True, kw_only=True):
    """Change the grid; what is absent stays. Shrinking under somebody needs `evict`."""

    count: SeatCount | None = None
    mode: SeatMode | None = None
    mode_id: ModeId | None = None
    evict: bool = False


class TakeSeat(_Command, frozen=True, kw_only=True):
    """Sit down: on this seat, or on the lowest that is open to the actor."""

    index: SeatIndex | None = None


class LeaveSeat(_Command, frozen=True, kw_only=True):
    """Stand up. Not seated: nothing happens."""


class MoveSeat(_Command, frozen=True, kw_only=True):
    """Change to a free seat in one step."""

    index: SeatIndex


class SwapSeats(_Command, frozen=True, kw_only=True):
    """Exchange two occupants, or move one onto the other's empty seat."""

    a: SeatIndex
    b: SeatIndex


class LockSeats(_Command, frozen=True, kw_only=True):
    """Nobody may sit there. An occupied seat needs `evict`."""

    indices: Indices | Literal["all"]
    evict: bool = False


class UnlockSeats(_Command, frozen=True, kw_only=True):
    """Open locked seats again."""

    indices: Indices | Literal["all"]


class MuteSeat(_Command, frozen=True, kw_only=True):
    """Turn the seat's microphone off for whoever sits there."""

    index: SeatIndex


class UnmuteSeat(_Command, frozen=True, kw_only=True):
    """Allow the seat's microphone again."""

    index: SeatIndex


class RemoveFromSeat(_Command, frozen=True, kw_only=True):
    """Back to listener. Name the seat or the person."""

    index: SeatIndex | None = None
    identity: IdentityField | None = None

    def __post_init__(self) -> None:
        if self.identity is not None:
            check_identity(self.identity)


class AssignSeat(_OfSomebody, frozen=True, kw_only=True):
    """Seat somebody without asking. Server API only."""

    index: SeatIndex | None = None


class ReserveSeat(_Command, frozen=True, kw_only=True):
    """Keep a seat for one person or one role; neither opens it to all."""

    index: SeatIndex
    identity: IdentityField | None = None
    role: Role | None = None

    def __post_init__(self) -> None:
        if self.identity is not None:
            check_identity(self.identity)


class CreateRequest(_Command, frozen=True, kw_only=True):
    """Ask for a place."""

    target: Target = Target.SEAT
    index: SeatIndex | None = None
    note: Note = ""


class ApproveRequest(_Command, frozen=True, kw_only=True):
    """Give the requester the place."""

    id: RequestId


class RejectRequest(_Command, frozen=True, kw_only=True):
    """Say no."""

    id: RequestId


class CancelRequest(_Command, frozen=True, kw_only=True):
    """Withdraw one's own request."""

    id: RequestId


class CreateInvite(_OfSomebody, frozen=True, kw_only=True):
    """Offer a place. With an index the seat is kept while the invite is pending."""

    target: Target = Target.SEAT
    index: SeatIndex | None = None
    sources: Sources = ()


class AcceptInvite(_Command, frozen=True, kw_only=True):
    """Take the place that was offered."""

    id: RequestId


class DeclineInvite(_Command, frozen=True, kw_only=True):
    """Refuse the place that was offered."""

    id: RequestId


class CancelInvite(_Command, frozen=True, kw_only=True):
    """Withdraw an offer."""

    id: RequestId


class Leave(_Command, frozen=True, kw_only=True):
    """Go, on purpose: everything is freed at once."""


class EndRoom(_Command, frozen=True, kw_only=True):
    """Final: all are disconnected."""

    reason: Reason = "ended"


class ChangePolicy(_Command, frozen=True, kw_only=True):
    """Replace the fields of the policy that are named."""

    policy: PolicyPatch
    if_version: Version | None = None


class ChangeSettings(_Command, frozen=True, kw_only=True):
    """Change the room's own text."""

    metadata: Metadata


class SetRole(_OfSomebody, frozen=True, kw_only=True):
    """Make somebody admin, or audience again."""

    role: Role


class TransferHost(_OfSomebody, frozen=True, kw_only=True):
    """Hand the room over."""


class Kick(_OfSomebody, frozen=True, kw_only=True):
    """Put somebody out; they may return unless banned."""

    reason: Reason = ""


class AskMute(_OfSomebody, frozen=True, kw_only=True):
    """Ask somebody to mute."""

    source: Source = Source.MICROPHONE


class HardMute(_OfSomebody, frozen=True, kw_only=True):
    """Take a source away until it is lifted."""

    source: Source = Source.MICROPHONE


class LiftMute(_OfSomebody, frozen=True, kw_only=True):
    """Give a taken source back. It is never opened for them."""

    source: Source = Source.MICROPHONE


class MuteAll(_Command, frozen=True, kw_only=True):
    """Hard-mute everybody who publishes, but moderators and the excepted."""

    source: Source = Source.MICROPHONE
    except_: Excepted = ()

    def __post_init__(self) -> None:
        for identity in self.except_:
            check_identity(identity, "except_")


class Ban(_OfSomebody, frozen=True, kw_only=True):
    """Kick and refuse from now on, or until a moment."""

    scope: BanScope = BanScope.ROOM
    until: Moment | None = None
    reason: Reason = ""


class Unban(_OfSomebody, frozen=True, kw_only=True):
    """Lift a ban; none is fine too."""

    scope: BanScope = BanScope.ROOM


class GoLive(_Command, frozen=True, kw_only=True):
    """Begin, or go on after a pause."""

    with_video: bool = True


class PauseStream(_Command, frozen=True, kw_only=True):
    """Nobody publishes until it is resumed."""


class ResumeStream(_Command, frozen=True, kw_only=True):
    """Go on as before the pause."""


class ScheduleStream(_Command, frozen=True, kw_only=True):
    """Say when the stream is meant to begin; nothing opens by itself."""

    at: Moment | None = None


class InviteToStage(_OfSomebody, frozen=True, kw_only=True):
    """Let somebody publish: at once, or when they accept, as the policy says."""

    sources: Sources = ()


class RemoveFromStage(_OfSomebody, frozen=True, kw_only=True):
    """Back to viewer."""


class LeaveStage(_Command, frozen=True, kw_only=True):
    """Step down from the stage."""


class SetStageSources(_OfSomebody, frozen=True, kw_only=True):
    """What somebody on stage may publish."""

    sources: Annotated[tuple[Source, ...], Meta(min_length=1, max_length=4)]


class CallRinging(_Command, frozen=True, kw_only=True):
    """This device of the callee rings."""


class AcceptCall(_Command, frozen=True, kw_only=True):
    """Answer on this device. One device wins."""


class RejectCall(_Command, frozen=True, kw_only=True):
    """Say no, for all devices."""


class IgnoreCall(_Command, frozen=True, kw_only=True):
    """Stop ringing on this device; nobody is told."""


class BusyCall(_Command, frozen=True, kw_only=True):
    """Say that one is busy."""


class EndCall(_Command, frozen=True, kw_only=True):
    """Hang up. On a finished call nothing happens."""


SeatCommand: TypeAlias = (
    ConfigureSeats | TakeSeat | LeaveSeat | MoveSeat | SwapSeats | LockSeats | UnlockSeats
    | MuteSeat | UnmuteSeat | RemoveFromSeat | AssignSeat | ReserveSeat
)  # fmt: skip
RequestCommand: TypeAlias = (
    CreateRequest | ApproveRequest | RejectRequest | CancelRequest
    | CreateInvite | AcceptInvite | DeclineInvite | CancelInvite
)  # fmt: skip
MemberCommand: TypeAlias = (
    SetRole | TransferHost | Kick | AskMute | HardMute | LiftMute | MuteAll | Ban | Unban
)
StreamCommand: TypeAlias = (
    GoLive | PauseStream | ResumeStream | ScheduleStream
    | InviteToStage | RemoveFromStage | LeaveStage | SetStageSources
)  # fmt: skip
CallCommand: TypeAlias = CallRinging | AcceptCall | RejectCall | IgnoreCall | BusyCall | EndCall
RoomCommand: TypeAlias = (
    SeatCommand | RequestCommand | MemberCommand | StreamCommand | CallCommand
    | Leave | EndRoom | ChangePolicy | ChangeSettings
)  # fmt: skip
