"""The state folder of `utd dev`: who holds it, its secrets, and where the running stack answers.

Every file in it that holds a secret is readable by its owner only.
"""

import fcntl
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T", bound=Struct)

DEFAULT: Final = Path(".utd")
_RUNNING: Final = "dev.json"
_SECRETS: Final = "secrets.json"
_LOCK: Final = "dev.lock"


class FolderInUse(Exception):
    """Another `utd dev` or `utd demo` runs on this folder. The message names its process."""


class RunningStack(Struct, frozen=True, kw_only=True):
    """Where a stack answers and what opens it: the line that `utd dev --json` prints."""

    base_url: str
    app_id: str
    app_key: str
    secret_key: str
    admin_url: str
    admin_token: str
    livekit_url: str


class Secrets(Struct, frozen=True, kw_only=True):
    """What a development stack keeps from one start to the next."""

    master_secret: str
    admin_token: str
    livekit_secret: str
    app_key: str = ""
    secret_key: str = ""


class StateFolder:
    """A folder that one stack at a time holds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextmanager
    def hold(cls, path: Path) -> Generator[Self]:
        """The folder, alone for the length of the block. It is made if it is not there.

        The lock belongs to the process, so one that was killed holds nothing.

        Raises:
            FolderInUse: another stack has it.
        """
        path = path.absolute()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (path / ".gitignore").write_text("*\n", encoding="utf-8")
        with (path / _LOCK).open("a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise FolderInUse(_in_use(path)) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            folder = cls(path)
            try:
                yield folder
            finally:
                folder.forget_running()

    def secrets(self) -> Secrets:
        """Those of the last start; new ones the first time, or when they cannot be read."""
        kept = _read(self.path / _SECRETS, Secrets)
        if kept is None:
            kept = Secrets(
                master_secret=new_secret(),
                admin_token=new_secret(),
                livekit_secret=new_secret(),
            )
            self.keep_secrets(kept)
        return kept

    def keep_secrets(self, kept: Secrets) -> None:
        """Write them for the next start."""
        _write(self.path / _SECRETS, kept)

    def announce(self, running: RunningStack) -> None:
        """Let `utd rooms`, `utd events`, `utd apps` and `utd demo` find the stack."""
        _write(self.path / _RUNNING, running)

    def forget_running(self) -> None:
        """Nothing runs here any more."""
        with suppress(OSError):
            (self.path / _RUNNING).unlink(missing_ok=True)


def read_running(path: Path) -> RunningStack | None:
    """The stack that was announced in a folder; it may have been killed since."""
    return _read(path / _RUNNING, RunningStack)


def new_secret() -> str:
    """32 random bytes as 43 characters that are safe in a URL."""
    return secrets.token_urlsafe(32)


def _in_use(path: Path) -> str:
    held_by = (path / _LOCK).read_text(encoding="utf-8").strip()
    process = f"process {held_by}" if held_by else "another process"
    return (
        f"{path} is in use by {process}: a stack runs there already. "
        "Stop it, or give this one a folder of its own with --state DIR."
    )


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, value: Struct) -> None:
    """Replace a file in one step, so that nobody ever reads half of it."""
    scratch = path.with_name(f"{path.name}.new")
    scratch.unlink(missing_ok=True)
    with open(scratch, "xb", opener=_private) as file:
        file.write(msgspec.json.encode(value))
    scratch.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
