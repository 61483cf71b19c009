"""The state folder of one livekit-server: configuration, logs, and who runs in it."""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Self

STALE_ENDS_WITHIN_S: Final = 5.0
LOG_LINES_SHOWN: Final = 5


class ServerFailed(Exception):
    """livekit-server did not come up, or its state folder is in use. The message says why."""


class ServerFolder:
    """Held by one supervisor at a time. The secrets in it are readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.config_path = path / "livekit.yaml"
        self.log_path = path / "livekit.log"
        self._out_path = path / "livekit.out"
        self._pid_path = path / "livekit.pid.json"
        self._log_start = 0

    @classmethod
    @contextmanager
    def hold(cls, path: Path) -> Generator[Self]:
        """The folder, alone for the length of the block; a stale server in it is ended.

        Raises `ServerFailed` when another supervisor holds it.
        """
        path = path.absolute()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (path / "livekit.lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                message = (
                    f"{path} is in use by another livekit-server. Stop it or use another folder."
                )
                raise ServerFailed(message) from error
            folder = cls(path)
            folder._end_stale()
            yield folder

    def write_config(self, text: str) -> None:
        """Replace the configuration."""
        self.config_path.unlink(missing_ok=True)
        with open(self.config_path, "w", opener=_private, encoding="utf-8") as file:
            file.write(text)

    @contextmanager
    def open_logs(self) -> Generator[tuple[BinaryIO, BinaryIO]]:
        """Files for stdout (of this start only) and stderr (of all starts)."""
        with (
            open(self._out_path, "wb", opener=_private) as out,
            open(self.log_path, "ab", opener=_private) as log,
        ):
            self._log_start = log.tell()
            yield out, log

    def read_out(self) -> str:
        """What the present start wrote to stdout."""
        return self._out_path.read_text(errors="replace")

    def read_log(self) -> str:
        """What the present start wrote to stderr."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def last_log_lines(self) -> str:
        """The end of the log, to show to a person."""
        return "\n".join(self.read_log().splitlines()[-LOG_LINES_SHOWN:])

    def remember(self, pid: int, port: int) -> None:
        """Write down who runs here, for the next supervisor if this one is killed."""
        self._pid_path.write_text(json.dumps({"pid": pid, "port": port}), encoding="utf-8")

    def forget(self) -> None:
        """Nobody runs here."""
        self._pid_path.unlink(missing_ok=True)

    def _end_stale(self) -> None:
        try:
            pid = int(json.loads(self._pid_path.read_text(encoding="utf-8"))["pid"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return
        until = time.monotonic() + STALE_ENDS_WITHIN_S
        # The id may be another program's by now: only the one that reads our configuration is ours.
        while str(self.config_path) in _command_line(pid) and time.monotonic() < until:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        self.forget()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _command_line(pid: int) -> list[str]:
    """The words a process was started with; empty when there is none."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return []
        shown = subprocess.run(  # noqa: S603  # a number is the only argument
            ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False
        )
        return shown.stdout.decode(errors="replace").split()
    return words.decode(errors="replace").split("\0")
