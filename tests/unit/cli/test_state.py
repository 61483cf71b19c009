import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from utd_cli._state import FolderInUse, RunningStack, StateFolder, read_running

RUNNING = RunningStack(
    base_url="http://127.0.0.1:1",
    app_id="dev",
    app_key="pk_x",
    secret_key="sk_x",
    admin_url="http://127.0.0.1:2",
    admin_token="token",
    livekit_url="ws://127.0.0.1:3",
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_running_stack_is_found_until_its_folder_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with StateFolder.hold(path) as folder:
        assert read_running(path) is None
        folder.announce(RUNNING)
        assert read_running(path) == RUNNING
        assert mode(path / "dev.json") == 0o600
    assert read_running(path) is None


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with StateFolder.hold(path) as folder:
        made = folder.secrets()
    with StateFolder.hold(path) as folder:
        assert folder.secrets() == made
    assert len({made.master_secret, made.admin_token, made.livekit_secret}) == 3
    assert min(map(len, (made.master_secret, made.admin_token, made.livekit_secret))) >= 43
    assert mode(path) == 0o700
    assert mode(path / "secrets.json") == 0o600
    assert (path / ".gitignore").read_text() == "*\n"


def test_broken_secrets_are_replaced(tmp_path: Path) -> None:
    with StateFolder.hold(tmp_path) as folder:
        made = folder.secrets()
    (tmp_path / "secrets.json").write_bytes(b'{"master_secret": "x')
    with StateFolder.hold(tmp_path) as folder:
        assert folder.secrets().master_secret != made.master_secret


def test_a_folder_is_held_by_one_and_names_the_process(tmp_path: Path) -> None:
    with StateFolder.hold(tmp_path):
        with (
            pytest.raises(FolderInUse, match=rf"process {os.getpid()}\b.*--state"),
            StateFolder.hold(tmp_path),
        ):
            pass
        assert (tmp_path / "dev.lock").read_text().strip() == str(os.getpid())
    with StateFolder.hold(tmp_path):
        pass


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"base_url": 1}'])
def test_a_file_that_is_no_stack_is_no_stack(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dev.json").write_bytes(content)
    assert read_running(tmp_path) is None
