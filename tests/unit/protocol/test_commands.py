"""Bodies of requests: what is taken, and what is refused with which word."""

import re
from typing import get_args

import msgspec
import pytest

from utd_protocol import answers as a
from utd_protocol import commands as c
from utd_protocol.types import Role, check_identity, check_room_name

COMMANDS = get_args(c.RoomCommand)
LONG = "x" * 5000
JOIN = '"type":"audio_room","room_name":"lobby"}'


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_field_is_a_mistake(command: type[msgspec.Struct]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `nonsense`"):
        msgspec.json.decode(b'{"nonsense":1}', type=command)


@pytest.mark.parametrize(
    ("command", "text", "says"),
    [
        (c.TakeSeat, '{"index":-1}', "$.index"),
        (c.TakeSeat, '{"index":64}', "$.index"),
        (c.TakeSeat, '{"index":"0"}', "$.index"),
        (c.ConfigureSeats, '{"count":0}', "$.count"),
        (c.ConfigureSeats, '{"count":65}', "$.count"),
        (c.ConfigureSeats, '{"mode":"open"}', "$.mode"),
        (c.ConfigureSeats, '{"mode_id":""}', "$.mode_id"),
        (c.LockSeats, '{"indices":[]}', "$.indices"),
        (c.LockSeats, '{"indices":"some"}', "$.indices"),
        (c.LockSeats, "{}", "indices"),
        (c.ApproveRequest, '{"id":0}', "$.id"),
        (c.CreateRequest, f'{{"note":"{LONG[:201]}"}}', "$.note"),
        (c.ChangePolicy, '{"policy":{},"if_version":-1}', "$.if_version"),
        (c.ChangeSettings, f'{{"metadata":"{LONG[:4097]}"}}', "$.metadata"),
        (c.EndRoom, f'{{"reason":"{LONG[:501]}"}}', "$.reason"),
        (c.Kick, '{"identity":""}', "$.identity"),
        (c.Kick, '{"identity":"üüü' + LONG[:251] + '"}', "identity is 257 bytes"),
        (c.Ban, '{"identity":"a","until":"2030-01-01T00:00:00"}', "$.until"),
        (c.MuteAll, '{"except_":[' + '"a",' * 256 + '"a"]}', "$.except_"),
        (c.ScheduleStream, '{"at":"2030-01-01T00:00:00"}', "$.at"),
        (c.InviteToStage, '{"identity":"\\t"}', "control character"),
        (c.SetStageSources, '{"identity":"a","sources":[]}', "$.sources"),
        (c.SetStageSources, '{"identity":"a","sources":["window"]}', "$.sources"),
        (c.GoLive, '{"with_video":1}', "$.with_video"),
        (c.MuteAll, '{"except_":["a","b\\n"]}', "except_ holds the control character"),
        (c.RemoveFromSeat, '{"identity":"a\\u0000"}', "control character"),
        (c.ReserveSeat, '{"index":0,"identity":"a\\u0085"}', "control character"),
        (c.AssignSeat, '{"identity":"\\t"}', "control character"),
        (a.TokenRequest, '{"identity":"a\\u0007",' + JOIN, "control character"),
        (a.TokenRequest, '{"identity":"a","role":"admin",' + JOIN, "never claimed"),
        (a.TokenRequest, '{"type":"agent","room_name":"x","identity":"a"}', "type is agent"),
        (a.TokenRequest, '{"type":"audio_room","room_name":"..","identity":"a"}', "room_name is"),
        (a.SessionRequest, '{"identity":"a\\u007f"}', "control character"),
        (a.OpenRequest, '{"owner":"\\u0001"}', "owner holds"),
    ],
)
def test_a_field_out_of_its_limits_is_named(
    command: type[msgspec.Struct], text: str, says: str
) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.json.decode(text, type=command)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "command",
    [
        c.RemoveFromSeat(identity="ana"),
        c.RemoveFromSeat(index=63),
        c.ReserveSeat(index=0, identity="ana"),
        c.ReserveSeat(index=0, role=Role.ADMIN),
        c.LockSeats(indices="all"),
        c.MuteAll(except_=("ana", "ü" * 128)),
        c.Kick(identity="a b/c?d#e%"),
        a.TokenRequest(type=a.RoomType.LIVE_STREAM, room_name="x", identity="y", role=Role.HOST),
        a.SessionRequest(identity="ana"),
        a.OpenRequest(owner="ana"),
    ],
)
def test_what_is_allowed_comes_back(command: msgspec.Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(command), type=type(command)) == command


@pytest.mark.parametrize("text", ["a", "x" * 256, "ü" * 128, " ", "..", "\u202e", "ana@x.org"])
def test_identities(text: str) -> None:
    assert check_identity(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "identity is 0 bytes of UTF-8; 1 to 256 are allowed"),
        ("x" * 257, "257 bytes"),
        ("🎙" * 65, "260 bytes"),
        ("a\x00b", r"control character '\x00' at position 1"),
        ("a\x9f", "control character"),
        ("\ud83c", "not valid Unicode"),
    ],
)
def test_identities_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        check_identity(text)


@pytest.mark.parametrize("text", ["lobby", "x" * 128, "a/b", "...", "тест"])
def test_room_names(text: str) -> None:
    assert check_room_name(text) == text


@pytest.mark.parametrize("text", ["", ".", "..", "x" * 129, "ü" * 65, "a\nb", "\udfff"])
def test_room_names_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^name "):
        check_room_name(text, "name")
