"""Find livekit-server on this machine, or get it: the pinned version and no other.

In this order: the environment variable LIVEKIT_SERVER, PATH, our cache, the official release, and
a build from the Go module that ships with this package.
"""

import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from utd_cli.media_server.build import build
from utd_cli.media_server.pin import VERSION, Report, Unobtainable, check
from utd_cli.media_server.release import download

Way: TypeAlias = Callable[[Path, Report], Path]
"""Put the server into this empty folder and say where it is; or raise `Unobtainable`."""

WAYS: Final[Sequence[Way]] = (download, build)


class ServerNotFound(Exception):
    """There is no livekit-server here and none could be got. The message lists what was tried."""


def find_server() -> Path | None:
    """The server of this machine, if it has one.

    Raises `ServerNotFound` when LIVEKIT_SERVER names something that is not the pinned version: who
    names a program does not want another one.
    """
    if chosen := os.environ.get("LIVEKIT_SERVER"):
        try:
            check(Path(chosen))
        except Unobtainable as problem:
            raise ServerNotFound(f"LIVEKIT_SERVER: {problem}. Correct it or unset it.") from None
        return Path(chosen)
    on_path = shutil.which("livekit-server")
    candidates = [Path(on_path)] if on_path else []
    candidates.append(cached_path())
    return next(filter(_is_ours, candidates), None)


def get_server(report: Report, ways: Sequence[Way] = WAYS) -> Path:
    """The server of this machine; the first time it is got and put into the cache.

    It blocks, for up to some minutes. Two that start at once get it once.

    Args:
        report: told each step.
        ways: tried in order when there is none.

    Raises `ServerNotFound`.
    """
    if found := find_server():
        return found
    target = cached_path()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent, report):
        return find_server() or _get(
            target, report, ways
        )  # somebody may have got it while we waited


def cached_path() -> Path:
    """Where the server is kept: below UTD_CACHE_DIR, or $XDG_CACHE_HOME/utd, or ~/.cache/utd."""
    return (
        _cache_dir() / f"livekit-server-{VERSION}-{platform.system()}-{platform.machine()}".lower()
    )


def _is_ours(program: Path) -> bool:
    try:
        check(program)
    except Unobtainable:
        return False
    return True


def _cache_dir() -> Path:
    if own := os.environ.get("UTD_CACHE_DIR"):
        return Path(own).absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "utd"


def _get(target: Path, report: Report, ways: Sequence[Way]) -> Path:
    tried = ["LIVEKIT_SERVER is not set", f"PATH and {target} have no livekit-server {VERSION}"]
    for way in ways:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="get-") as scratch:
            try:
                got = way(Path(scratch), report)
                check(got)
                got.rename(target)  # in one step: nobody ever runs half a program
            except Unobtainable as failure:
                report(f"{failure}.")
                tried.append(str(failure))
            else:
                report(f"livekit-server {VERSION} is ready: {target}")
                return target
    listed = "\n".join(f"  - {line}" for line in tried)
    raise ServerNotFound(
        f"There is no livekit-server {VERSION} here and none could be got:\n{listed}\n"
        "Install it by hand and name it in LIVEKIT_SERVER, or install Go 1.26 and try again."
    )


@contextmanager
def _alone(cache: Path, report: Report) -> Generator[None]:
    with (cache / "get.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Another process is getting livekit-server; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
