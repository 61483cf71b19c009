"""What happened in a room, in words for people. It prints nothing."""

from typing import Final

from msgspec import structs

from utd_protocol import events as ev
from utd_protocol.events import RoomEvent, UnknownEvent

_WORDS: Final[dict[type, str]] = {
    ev.RoomOpened: "opened by {owner} with {seat_count} seats, mode {seat_mode}",
    ev.RoomSettingsChanged: "settings changed",
    ev.RoomPolicyChanged: "policy changed, version {version}",
    ev.RoomEnded: "ended ({reason})",
    ev.MemberAway: "{identity} is away",
    ev.MemberPresent: "{identity} is back",
    ev.MemberRoleChanged: "{identity} is {role} now",
    ev.MemberMuted: "the {source} of {identity} is taken away",
    ev.MemberUnmuted: "the {source} of {identity} is allowed again",
    ev.MemberMuteAsked: "{identity} is asked to mute the {source}",
    ev.MemberKicked: "{identity} was put out",
    ev.MemberBanned: "{identity} is banned from the {scope}",
    ev.MemberUnbanned: "{identity} may come back to the {scope}",
    ev.HostGone: "the host {identity} is missing",
    ev.HostBack: "the host {identity} is back",
    ev.HostTransferred: "the host is {host} now",
    ev.SeatsConfigured: "{count} seats, mode {mode}",
    ev.SeatTaken: "{identity} took seat {index}",
    ev.SeatLeft: "{identity} is off seat {index} ({reason})",
    ev.SeatHeld: "seat {index} is held for {identity}, who is away",
    ev.SeatResumed: "{identity} is back on seat {index}",
    ev.SeatMoved: "{identity} moved from seat {source} to seat {target}",
    ev.SeatsSwapped: "seats {a} and {b} changed places",
    ev.SeatsLocked: "seats {indices} are locked",
    ev.SeatsUnlocked: "seats {indices} are unlocked",
    ev.SeatMuted: "the microphone of seat {index} is locked",
    ev.SeatUnmuted: "the microphone of seat {index} is unlocked",
    ev.SeatReserved: "seat {index} is kept for {kept_for}",
    ev.RequestCreated: "request {id}: {identity} asks for a {target}",
    ev.RequestApproved: "request {id} is approved",
    ev.RequestRejected: "request {id} is rejected",
    ev.RequestCancelled: "request {id} is cancelled",
    ev.RequestExpired: "request {id} is expired",
    ev.InviteCreated: "invite {id}: {identity} is offered a {target}",
    ev.InviteAccepted: "invite {id} is accepted",
    ev.InviteDeclined: "invite {id} is declined",
    ev.InviteCancelled: "invite {id} is cancelled",
    ev.InviteExpired: "invite {id} is expired",
}


def describe(event: RoomEvent | UnknownEvent) -> str:
    """One line about an event, without its time and place."""
    if isinstance(event, UnknownEvent):
        return printable(event.type)
    words = _WORDS[type(event)].format(**_fields(event))
    by = "" if event.by is None or event.by in words.split() else f", by {event.by}"
    return printable(words + by)


def printable(text: str) -> str:
    """The text without anything that could command a terminal: people choose their own names."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _fields(event: RoomEvent) -> dict[str, object]:
    fields = structs.asdict(event)
    if isinstance(event, ev.SeatReserved):
        fields["kept_for"] = event.identity or event.role or "anybody"
    if isinstance(event, ev.SeatsLocked | ev.SeatsUnlocked):
        fields["indices"] = ", ".join(str(index) for index in event.indices)
    if isinstance(event, ev.HostTransferred):
        fields["host"] = event.host or "nobody"
    return {name: "somebody" if value is None else value for name, value in fields.items()}
