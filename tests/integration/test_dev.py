"""`utd dev` as a process: it comes up, is found, goes down, and survives being killed."""

import asyncio
import json
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.dev_stack import DevStack, dev_stack

from utd_stream import UTDStreamClient

pytestmark = pytest.mark.e2e
STOP_WITHIN_S = 5.0


@pytest.fixture
def stack(tmp_path: Path, livekit_binary: Path) -> Iterator[DevStack]:
    with dev_stack(tmp_path, livekit_binary, "--port", "0") as running:
        assert running.ready is not None, running.errors
        yield running


def ready(stack: DevStack) -> dict[str, Any]:
    assert stack.ready is not None, stack.errors
    return stack.ready


def answers(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


def wait_silent(*urls: str) -> None:
    until = time.monotonic() + STOP_WITHIN_S
    while any(answers(url) for url in urls):
        assert time.monotonic() < until, "a port is still served"
        time.sleep(0.01)


def test_the_ready_line_says_where_everything_is(stack: DevStack) -> None:
    line = ready(stack)
    assert set(line) == {
        "base_url", "app_id", "app_key", "secret_key", "admin_url", "admin_token", "livekit_url",
    }  # fmt: skip
    assert line["app_key"].startswith("pk_")
    assert line["secret_key"].startswith("sk_")
    for url in (line["base_url"], line["admin_url"], line["livekit_url"]):
        assert urlsplit(url).hostname == "127.0.0.1"
        assert answers(url)
    kept = stack.folder / ".utd" / "dev.json"
    assert json.loads(kept.read_text()) == line
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_all_of_it_with_somebody_in_a_room(
    stack: DevStack, name: signal.Signals
) -> None:
    line = ready(stack)
    async with UTDStreamClient(
        app_id=line["app_id"], app_key=line["app_key"], base_url=line["base_url"]
    ) as client:
        room = await client.join_audio_room(identity="ana", room_name="lobby", as_host=True)
        await room.take_seat(0)
        assert await asyncio.to_thread(stack.stop, name) < STOP_WITHIN_S
    assert stack.process.returncode == 0, stack.errors
    wait_silent(line["base_url"], line["admin_url"], line["livekit_url"])
    assert not (stack.folder / ".utd" / "dev.json").exists()
    assert "ana took seat 0" in stack.errors


async def test_no_secret_is_written_where_it_does_not_belong(stack: DevStack) -> None:
    line = ready(stack)
    async with UTDStreamClient(
        app_id=line["app_id"], app_key=line["app_key"], base_url=line["base_url"]
    ) as client:
        await client.join_audio_room(identity="ana", room_name="lobby", as_host=True)
    stack.stop()
    folder = stack.folder / ".utd"
    secrets = json.loads((folder / "secrets.json").read_text())
    written = stack.errors + (folder / "livekit" / "livekit.log").read_text()
    for secret in (*secrets.values(), line["secret_key"], line["admin_token"]):
        assert secret not in written
    assert "eyJ" not in written
    for path in folder.rglob("*"):
        if path.is_file() and any(
            secret.encode() in path.read_bytes() for secret in secrets.values()
        ):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_after_a_kill_the_next_start_works_and_has_the_same_keys(
    stack: DevStack, livekit_binary: Path
) -> None:
    line = ready(stack)
    stack.stop(signal.SIGKILL)
    wait_silent(line["base_url"], line["admin_url"], line["livekit_url"])
    with dev_stack(stack.folder, livekit_binary, "--port", "0") as again:
        same = {"app_id", "app_key", "secret_key", "admin_token"}
        assert {name: ready(again)[name] for name in same} == {name: line[name] for name in same}
        assert again.run("rooms", "ls", "--json").stdout == "[]\n"
        assert again.stop() < STOP_WITHIN_S


def test_keys_that_were_lost_are_made_anew(stack: DevStack, livekit_binary: Path) -> None:
    line = ready(stack)
    stack.stop()
    (stack.folder / ".utd" / "secrets.json").unlink()
    with dev_stack(stack.folder, livekit_binary, "--port", "0") as again:
        assert ready(again)["app_id"] == line["app_id"]
        assert ready(again)["secret_key"] != line["secret_key"]
        assert again.run("rooms", "ls", "--json").stdout == "[]\n"


def test_a_second_start_on_the_folder_names_the_first(stack: DevStack) -> None:
    second = stack.run("dev", "--port", "0")
    assert second.returncode == 1
    assert f"process {stack.process.pid}:" in second.stderr
    assert "--state" in second.stderr
    assert "Traceback" not in second.stderr
    assert answers(ready(stack)["base_url"])


def test_a_port_that_is_taken_names_the_option(tmp_path: Path, livekit_binary: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with dev_stack(tmp_path, livekit_binary, "--port", port) as stack:
            assert stack.ready is None
            assert stack.process.wait(STOP_WITHIN_S) == 1
            assert f"Port {port} " in stack.errors
            assert "--port" in stack.errors
            assert "Traceback" not in stack.errors


def test_a_media_server_that_ends_ends_the_stack(stack: DevStack) -> None:
    pid = json.loads((stack.folder / ".utd" / "livekit" / "livekit.pid.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    assert stack.process.wait(STOP_WITHIN_S) == 1
    assert "livekit-server" in stack.errors


async def test_other_commands_find_it_and_show_what_happens(stack: DevStack) -> None:
    line = ready(stack)
    async with UTDStreamClient(
        app_id=line["app_id"], app_key=line["app_key"], base_url=line["base_url"]
    ) as client:
        room = await client.join_audio_room(
            identity="ana", room_name="a b/c", as_host=True, seat_count=3
        )
        await room.take_seat(1)
        listed = json.loads((await run(stack, "rooms", "ls", "--json")).stdout)
        assert [(one["name"], one["host"], one["seats_taken"]) for one in listed] == [
            ("a b/c", "ana", 1)
        ]
        shown = json.loads((await run(stack, "rooms", "show", "a b/c", "--json")).stdout)
        assert [seat.get("identity") for seat in shown["view"]["seats"]] == [None, "ana", None]
        assert "ana" in (await run(stack, "rooms", "show", "a b/c")).stdout
        assert "a b/c" in (await run(stack, "rooms", "ls")).stdout
        watching = await stack.start("rooms", "watch", "a b/c", "--json")
        first = json.loads(await watching.stdout.readline())
        assert [one["identity"] for one in first["present"]] == ["ana"]
        await room.leave_seat()
        second = json.loads(await watching.stdout.readline())
        assert second["view"]["seats"][1]["state"] == "free"
        await room.end()
    await watching.communicate()
    assert watching.returncode == 0
    told = (await run(stack, "events", "tail")).stdout
    assert "ana took seat 1" in told
    entries = (await run(stack, "events", "tail", "--after", "0", "--json")).stdout.splitlines()
    positions = [json.loads(entry)["pos"] for entry in entries]
    assert positions == sorted(positions)
    after = await run(stack, "events", "tail", "--after", str(positions[0]), "--json")
    assert after.stdout.splitlines() == entries[1:]
    newest = await run(stack, "events", "tail", "-n", "1", "--json")
    assert newest.stdout.splitlines() == entries[-1:]
    missing = await run(stack, "rooms", "show", "nowhere")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "nowhere" in missing.stderr


async def run(stack: DevStack, *arguments: str) -> Any:
    return await asyncio.to_thread(stack.run, *arguments)


def test_apps_and_keys(stack: DevStack) -> None:
    made = json.loads(stack.run("apps", "create", "Mine", "--app-id", "mine", "--json").stdout)
    assert made["mode"] == "production"
    environment = ("--base-url", ready(stack)["base_url"])
    rooms = ("rooms", "ls", "--json", *environment, "--secret-key")
    assert stack.run(*rooms, made["secret_key"]).stdout == "[]\n"
    more = json.loads(stack.run("apps", "keys", "add", "mine", "secret", "--json").stdout)
    assert stack.run(*rooms, more["key"]).stdout == "[]\n"
    assert stack.run("apps", "keys", "revoke", "mine", more["prefix"]).returncode == 0
    assert stack.run(*rooms, more["key"]).returncode == 1
    keys = json.loads(stack.run("apps", "keys", "ls", "mine", "--json").stdout)
    assert [key["revoked_at"] is None for key in keys] == [True, True, False]
    assert more["prefix"] in stack.run("apps", "keys", "ls", "mine").stdout
    changed = json.loads(stack.run("apps", "mode", "mine", "development", "--json").stdout)
    assert changed["mode"] == "development"
    assert {app["app_id"] for app in json.loads(stack.run("apps", "ls", "--json").stdout)} == {
        "dev",
        "mine",
    }
    again = stack.run("apps", "create", "Mine", "--app-id", "mine")
    assert (again.returncode, "mine" in again.stderr) == (1, True)
