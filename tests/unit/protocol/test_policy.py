"""Rule book in one object: defaults, patches, and what is refused."""

import msgspec
import pytest

from utd_protocol.policy import Policy, PolicyPatch, default_policy, patched
from utd_protocol.types import HostGone, RequestsVisible, Role, RoomType


def test_the_defaults_are_those_of_the_table() -> None:
    policy = Policy()
    assert (policy.seat_hold_s, policy.stage_hold_s, policy.host_grace_s) == (30, 30, 60)
    assert (policy.request_ttl_s, policy.invite_ttl_s, policy.away_after_s) == (0, 60, 2)
    assert (policy.empty_before_first_join_s, policy.empty_after_last_leave_s) == (300, 60)
    assert (policy.solo_s, policy.max_duration_s, policy.max_audience) == (0, 0, None)
    assert policy.requests_visible is RequestsVisible.MODERATORS


@pytest.mark.parametrize(
    ("room_type", "host_gone", "hours"),
    [
        (RoomType.AUDIO_ROOM, HostGone.TRANSFER, 0),
        (RoomType.LIVE_STREAM, HostGone.TRANSFER_OR_END, 0),
        (RoomType.AUDIO_CALL, HostGone.TRANSFER, 4),
        (RoomType.VIDEO_CALL, HostGone.TRANSFER, 4),
        (RoomType.AGENT, HostGone.END, 0),
    ],
)
def test_each_type_of_room_has_its_own(
    room_type: RoomType, host_gone: HostGone, hours: float
) -> None:
    policy = default_policy(room_type)
    assert (policy.host_gone, policy.max_duration_s) == (host_gone, hours * 3600)


def test_a_patch_changes_what_it_names() -> None:
    policy = Policy(seat_hold_s=5, solo_s=9)
    assert patched(policy, None) is policy
    assert patched(policy, PolicyPatch()) == policy
    assert patched(policy, PolicyPatch(solo_s=0)) == Policy(seat_hold_s=5)


def test_a_patch_knows_every_field_of_the_policy() -> None:
    assert PolicyPatch.__struct_fields__ == Policy.__struct_fields__


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"seat_hold_s": -1}', "$.seat_hold_s"),
        ('{"seat_hold_s": 1e9}', "$.seat_hold_s"),
        ('{"max_audience": 0}', "$.max_audience"),
        ('{"host_gone": "panic"}', "$.host_gone"),
        ('{"capabilities": {"audience": ["fly"]}}', "$.capabilities[...][0]"),
        ('{"capabilities": {"king": []}}', "capabilities"),
        ('{"seat_hold": 3}', "seat_hold"),
    ],
)
def test_a_patch_refuses_what_makes_no_sense(text: str, path: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.json.decode(text, type=PolicyPatch)
    assert path in str(refused.value)


def test_a_policy_in_an_answer_may_say_more_than_we_know() -> None:
    text = '{"seat_hold_s": 3, "gravity": 9.81, "capabilities": {"admin": ["fly"]}}'
    policy = msgspec.json.decode(text, type=Policy)
    assert (policy.seat_hold_s, policy.capabilities) == (3, {Role.ADMIN: ("fly",)})
