"""The supervisor of a real livekit-server: it comes up, it goes down, and it leaves nothing."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from support.livekit_server import LiveKitFactory
from support.rtc_participant import RtcParticipant

from utd_cli.media_server import process
from utd_cli.media_server.config import ServerKeys, server_config
from utd_cli.media_server.process import LiveKitServer, ServerFailed
from utd_engine.adapters.livekit.gateway import LiveKitGateway
from utd_engine.adapters.livekit.tokens import ApiKey
from utd_engine.domain.permissions import Permission
from utd_engine.ports.media import Join
from utd_engine.system import SystemClock

pytestmark = pytest.mark.e2e
PARENT = Path(__file__).with_name("livekit_parent.py")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")


async def answers(server: LiveKitServer) -> bool:
    async with aiohttp.ClientSession() as http:
        try:
            async with http.get(server.http_url) as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


def is_alive(pid: int) -> bool:
    """Whether it runs. One that ended and that nobody waited for does not."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


async def wait_dead(pid: int) -> None:
    async with asyncio.timeout(10):
        while is_alive(pid):
            await asyncio.sleep(0.01)


async def test_it_answers_and_is_gone_after(livekit_binary: Path, tmp_path: Path) -> None:
    async with LiveKitServer.start(livekit_binary, tmp_path) as server:
        pid = server.pid
        assert pid is not None
        assert await answers(server)
        assert server.url == f"ws://127.0.0.1:{server.port}"
        assert len(server.secret) >= 32
        known = json.loads((tmp_path / "livekit.pid.json").read_text())
        assert known == {"pid": pid, "port": server.port}
    assert not is_alive(pid)
    assert not await answers(server)
    assert not (tmp_path / "livekit.pid.json").exists()


async def test_its_secrets_are_its_owners_alone(livekit_binary: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with LiveKitServer.start(livekit_binary, folder) as server:
        for path in (folder / "livekit.yaml", server.log_path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert server.secret not in server.log_path.read_text()
        assert server.secret not in Path(f"/proc/{server.pid}/cmdline").read_text()


async def test_it_listens_on_loopback_only(livekit_factory: LiveKitFactory) -> None:
    server = await livekit_factory()
    sockets = set[str]()
    for descriptor in Path(f"/proc/{server.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            sockets.add(str(descriptor.readlink()))
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{server.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                assert fields[1].startswith("0100007F:")


async def test_a_crash_is_noticed(livekit_factory: LiveKitFactory) -> None:
    server = await livekit_factory()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        assert "it ended" in await server.wait_exit()
    assert server.pid is None


@pytest.mark.parametrize("kill", [True, False])
async def test_a_restart_keeps_port_and_keys(
    livekit_factory: LiveKitFactory,
    kill: bool,  # noqa: FBT001  # of two cases
) -> None:
    server = await livekit_factory()
    before = server.pid, server.url, server.secret
    await server.restart(kill=kill)
    assert await answers(server)
    assert (server.url, server.secret) == before[1:]
    assert server.pid != before[0]


async def test_what_runs_is_not_started_again(livekit_factory: LiveKitFactory) -> None:
    server = await livekit_factory()
    with pytest.raises(ServerFailed, match=f"running already as process {server.pid}"):
        await server.launch()
    assert await answers(server)


async def test_it_stops_with_somebody_connected(livekit_factory: LiveKitFactory) -> None:
    """One SIGTERM would drain without end: the second sends everybody out."""
    server, clock = await livekit_factory(), SystemClock()
    gateway = LiveKitGateway(server.url, ApiKey(server.key, server.secret), clock)
    await gateway.ensure_room("r")
    join = Join(room="r", identity="ana", permission=Permission(can_subscribe=True))
    ana = await RtcParticipant.join(server.url, gateway.mint_token(join, now=clock.now(), ttl_s=60))
    await server.stop(grace_s=0.2)
    assert server.pid is None
    assert '"force": true' in server.log_path.read_text()
    await ana.leave()
    await gateway.aclose()


async def test_two_run_side_by_side(livekit_factory: LiveKitFactory) -> None:
    first, second = await asyncio.gather(livekit_factory("a"), livekit_factory("b"))
    assert first.port != second.port
    assert await answers(first)
    assert await answers(second)


async def test_one_folder_has_one_server(livekit_factory: LiveKitFactory) -> None:
    server = await livekit_factory("same")
    with pytest.raises(ServerFailed, match="same is in use by another livekit-server"):
        await livekit_factory("same")
    assert await answers(server)


async def test_a_taken_port_is_named(livekit_factory: LiveKitFactory) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerFailed, match=rf"{port}(.|\n)*address already in use"):
            await livekit_factory(port=port)


async def test_another_port_is_tried_when_any_will_do(
    livekit_factory: LiveKitFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1]])
        free_port = process._free_port
        monkeypatch.setattr(process, "_free_port", lambda: next(ports, None) or free_port())
        server = await livekit_factory()
        assert server.port != taken.getsockname()[1]
    assert await answers(server)


async def test_bad_configuration_shows_its_reason(livekit_factory: LiveKitFactory) -> None:
    """The server itself exits with code 0 then."""
    with pytest.raises(ServerFailed, match=r"ended while starting(.|\n)*nonsense"):
        await livekit_factory(overrides={"nonsense": 1})


async def test_no_program_shows_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="missing cannot be started: No such file"):
        async with LiveKitServer.start(tmp_path / "missing", tmp_path / "state"):
            pass


async def test_a_server_that_was_left_is_ended(livekit_binary: Path, tmp_path: Path) -> None:
    config = tmp_path / "livekit.yaml"
    keys = ServerKeys("devkey", "a-secret-of-at-least-32-characters!")
    config.write_text(json.dumps(server_config(0, keys, None, {})))
    left = subprocess.Popen(
        [livekit_binary, "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    (tmp_path / "livekit.pid.json").write_text(json.dumps({"pid": left.pid, "port": 1}))
    async with asyncio.timeout(10):
        while str(config) not in Path(f"/proc/{left.pid}/cmdline").read_text():
            await asyncio.sleep(0)  # the kernel shows it a moment after the start
    async with LiveKitServer.start(livekit_binary, tmp_path) as server:
        assert left.wait(10) == -signal.SIGKILL
        assert await answers(server)


@pytest.mark.parametrize("content", ['{"pid": %d, "port": 1}', "{", "[]", '{"pid": "x"}', ""])
async def test_a_process_that_is_not_ours_is_left_alone(
    livekit_binary: Path, tmp_path: Path, content: str
) -> None:
    """Process ids are used again."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        text = content % other.pid if "%d" in content else content
        (tmp_path / "livekit.pid.json").write_text(text)
        async with LiveKitServer.start(livekit_binary, tmp_path):
            assert other.poll() is None
        other.communicate(b"\n")
        assert other.returncode == 0


@LINUX
async def test_a_killed_parent_leaves_no_orphan(livekit_binary: Path, tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, PARENT, livekit_binary, tmp_path, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(30):
        pid = int(await parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        await parent.wait()
    await wait_dead(pid)


@LINUX
async def test_a_cancelled_start_leaves_no_orphan(livekit_binary: Path, tmp_path: Path) -> None:
    async def start() -> None:
        async with LiveKitServer.start(livekit_binary, tmp_path):
            await asyncio.Event().wait()

    starting = asyncio.create_task(start())
    known = tmp_path / "livekit.pid.json"
    async with asyncio.timeout(10):
        while not known.exists() or not known.read_text():
            await asyncio.sleep(0)
    pid = json.loads(known.read_text())["pid"]
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    assert not is_alive(pid)
