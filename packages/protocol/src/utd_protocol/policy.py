"""Every timer and choice of a room in one validated object. Durations are seconds."""

from typing import Annotated, Final

from msgspec import Meta, Struct, structs

from utd_protocol.types import (
    Capability,
    DataPolicy,
    HostGone,
    Opens,
    RequestsVisible,
    Role,
    RoomType,
    Seconds,
    Source,
    StageInvites,
)

Attempts = Annotated[int, Meta(ge=1, le=20)]
Limit = Annotated[int, Meta(ge=1, le=1_000_000)]
Capabilities = Annotated[tuple[Capability, ...], Meta(max_length=32)]


class Policy(Struct, frozen=True, kw_only=True):
    """The rules of one room, after app defaults, type defaults and its own changes.

    Part of answers and events, so what a newer engine adds is ignored; `PolicyPatch` is closed.
    """

    opens: Opens = Opens.HOST
    seat_hold_s: Seconds = 30
    stage_hold_s: Seconds = 30
    away_after_s: Seconds = 2
    host_grace_s: Seconds = 60
    host_gone: HostGone = HostGone.TRANSFER
    request_ttl_s: Seconds = 0
    """0 means that requests never expire."""
    invite_ttl_s: Seconds = 60
    """0 means that invites never expire."""
    requests_visible: RequestsVisible = RequestsVisible.MODERATORS
    data: DataPolicy = DataPolicy.EVERYONE
    stage_invites: StageInvites = StageInvites.GRANT
    ring_timeout_s: Seconds = 45
    connect_timeout_s: Seconds = 20
    call_grace_s: Seconds = 20
    agent_attempts: Attempts = 3
    """How often an agent is asked for in a row before it counts as failed."""
    agent_sources: tuple[Source, ...] = (Source.MICROPHONE,)
    """What the user of an agent room may publish."""
    empty_before_first_join_s: Seconds = 300
    empty_after_last_leave_s: Seconds = 60
    solo_s: Seconds = 0
    """One person alone for this long ends the room; 0 means never."""
    max_duration_s: Seconds = 0
    """A room older than this ends; 0 means never."""
    max_audience: Limit | None = None
    capabilities: dict[Role, tuple[str, ...]] = {}
    """Replaces the capabilities of the named roles. The host's cannot be replaced."""


class PolicyPatch(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The fields of a policy that a change names; what is absent stays as it was."""

    opens: Opens | None = None
    seat_hold_s: Seconds | None = None
    stage_hold_s: Seconds | None = None
    away_after_s: Seconds | None = None
    host_grace_s: Seconds | None = None
    host_gone: HostGone | None = None
    request_ttl_s: Seconds | None = None
    invite_ttl_s: Seconds | None = None
    requests_visible: RequestsVisible | None = None
    data: DataPolicy | None = None
    stage_invites: StageInvites | None = None
    ring_timeout_s: Seconds | None = None
    connect_timeout_s: Seconds | None = None
    call_grace_s: Seconds | None = None
    agent_attempts: Attempts | None = None
    agent_sources: Annotated[tuple[Source, ...], Meta(min_length=1, max_length=4)] | None = None
    empty_before_first_join_s: Seconds | None = None
    empty_after_last_leave_s: Seconds | None = None
    solo_s: Seconds | None = None
    max_duration_s: Seconds | None = None
    max_audience: Limit | None = None
    capabilities: dict[Role, Capabilities] | None = None


_TYPE_DEFAULTS: Final[dict[RoomType, PolicyPatch]] = {
    RoomType.LIVE_STREAM: PolicyPatch(host_gone=HostGone.TRANSFER_OR_END),
    RoomType.AGENT: PolicyPatch(
        host_gone=HostGone.END,
        host_grace_s=30,
        empty_before_first_join_s=60,
        empty_after_last_leave_s=20,
    ),
    RoomType.AUDIO_CALL: PolicyPatch(max_duration_s=4 * 3600),
    RoomType.VIDEO_CALL: PolicyPatch(max_duration_s=4 * 3600),
}


def patched(policy: Policy, patch: PolicyPatch | None) -> Policy:
    """The policy with every field that the patch names replaced."""
    if patch is None:
        return policy
    changes = {name: value for name, value in structs.asdict(patch).items() if value is not None}
    return structs.replace(policy, **changes)


def default_policy(room_type: RoomType) -> Policy:
    """What a room of this type does when neither app nor host says otherwise."""
    return patched(Policy(), _TYPE_DEFAULTS.get(room_type))
