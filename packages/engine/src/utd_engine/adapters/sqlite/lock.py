"""One engine a file: an advisory lock beside the database. It never opens the database itself.

The lock is on a file of its own, because closing any descriptor of the database would drop the
locks that SQLite holds on it in this process.
"""

import fcntl
import os
from pathlib import Path
from typing import Self

from utd_engine.ports.store import StoreUnavailable


class StoreLocked(StoreUnavailable):
    """Another process has this database open. `pid` is its id, or None if it did not say."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{path} is in use by {holder}. Stop it, give this engine a file of its own, "
            "or use PostgreSQL to run several engines."
        )
        self.path = path
        self.pid = pid


class FileLock:
    """Held from `take` to `release`, and by the system until the process is gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, database: Path) -> Self:
        """Lock a database for this process; raises `StoreLocked`."""
        try:
            descriptor = os.open(f"{database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"{database}.lock cannot be opened: {error.strerror}. Check the folder."
            raise StoreUnavailable(message) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise StoreLocked(database, int(holder) if holder.isdecimal() else None) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let others open the database. The file stays: removing it would race with them."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
