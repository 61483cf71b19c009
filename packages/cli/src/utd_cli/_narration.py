"""What happened in a room, in words for people. It prints nothing."""

from datetime import datetime
from typing import Final, cast

from msgspec import structs

from utd_protocol import events as ev
from utd_protocol.events import RoomEvent, UnknownEvent

_WORDS: Final[dict[type, str]] = {
    ev.RoomOpened: "opened by {owner}{grid}",
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
    ev.StreamScheduled: "the stream is planned for {planned}",
    ev.StreamLive: "the stream is live",
    ev.StreamPaused: "the stream pauses",
    ev.StreamResumed: "the stream goes on",
    ev.StageJoined: "{identity} is on stage with {sources}",
    ev.StageLeft: "{identity} is off the stage ({reason})",
    ev.StageHeld: "a place on stage is held for {identity}, who is away",
    ev.StageResumed: "{identity} is back on stage",
    ev.StageSourcesChanged: "{identity} may show {sources} on stage",
    ev.CallRinging: "the call rings",
    ev.CallAccepted: "the call is accepted",
    ev.CallConnected: "both are in the call",
    ev.AgentDispatched: "agent {agent_name} is asked for, time {attempt}",
    ev.AgentJoined: "agent {agent_name} is there as {identity}",
    ev.AgentLeft: "agent {agent_name} is missing ({reason}) and wanted again",
    ev.AgentFailed: "agent {agent_name} is given up ({reason})",
    ev.CallEnded: "the call is over: {status} ({reason}), {duration_s:.0f} s",
}


def describe(event: RoomEvent | UnknownEvent) -> str:
    """One line about an event, without its time and place."""
    if isinstance(event, UnknownEvent):
        return printable(event.type)
    tag = str(event.__struct_config__.tag)
    words = _WORDS.get(type(event), tag).format(**_fields(event))
    by = "" if event.by is None or event.by in words.split() else f", by {event.by}"
    return printable(words + by)


def printable(text: str) -> str:
    """The text without anything that could command a terminal: people choose their own names."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _fields(event: RoomEvent) -> dict[str, object]:
    """The event's own, in words, and what is made of several of them."""
    fields = {name: _word(value) for name, value in structs.asdict(event).items()}
    match event:
        case ev.RoomOpened(seat_count=count, seat_mode=mode) if count:
            fields["grid"] = f" with {count} seats, mode {mode}"
        case ev.RoomOpened():
            fields["grid"] = ""
        case ev.StreamScheduled(scheduled_at=planned):
            fields["planned"] = "no time" if planned is None else fields["scheduled_at"]
        case ev.SeatReserved(identity=who, role=role):
            fields["kept_for"] = who or role or "anybody"
        case ev.HostTransferred(host=None):
            fields["host"] = "nobody"
        case _:
            pass
    return fields


def _word(value: object) -> object:
    match value:
        case None:
            return "somebody"
        case datetime():
            return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
        case tuple():
            return ", ".join(str(each) for each in cast("tuple[object, ...]", value))
        case _:
            return value
