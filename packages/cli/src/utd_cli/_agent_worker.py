"""A local agent worker as a process: found, started, waited for and ended by its id."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from utd_cli.media_server import die_with_parent
from utd_cli.media_server.process import LiveKitServer

PROGRAM: Final = Path(__file__).parent / "worker_program" / "echo_agent.py"
ENVIRONMENT: Final = Path(".venv-agents/bin/python")
READY: Final = b"registered worker"
READY_WITHIN_S: Final = 30.0
LOG_SHOWN: Final = 2000
LOOK_EVERY_S: Final = 0.05


class WorkerFailed(Exception):
    """There is no worker. The message says why, and what to do about it."""


def find_python(given: Path | None) -> Path:
    """The Python that has `livekit-agents`.

    Args:
        given: named by the user; else `.venv-agents` is looked for here, above, and where this
            package comes from.

    Raises:
        WorkerFailed: there is none.
    """
    if given is not None:
        return given
    for folder in _folders():
        if (folder / ENVIRONMENT).exists():
            return folder / ENVIRONMENT
    raise WorkerFailed(
        "The agent needs an environment of its own with livekit-agents. Make it with "
        "tools/setup_agents.sh, or name its Python with --agents-python."
    )


@asynccontextmanager
async def run_worker(
    python: Path, name: str, livekit: LiveKitServer, log: Path
) -> AsyncGenerator[None]:
    """A worker that is registered under `name`, until the block ends.

    Raises:
        WorkerFailed: it did not register within 30 s; with the end of its log.
    """
    secrets = {
        "LIVEKIT_URL": livekit.url,
        "LIVEKIT_API_KEY": livekit.key,
        "LIVEKIT_API_SECRET": livekit.secret,
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *_command(python, name),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | secrets,
            start_new_session=True,  # it and all that it starts are ended together
        )
    try:
        await _registered(process, log)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _registered(process: asyncio.subprocess.Process, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while READY not in log.read_bytes():  # noqa: ASYNC240 a small file of this machine
                if process.returncode is not None:
                    raise WorkerFailed(f"The agent's worker ended. It said:\n{_end_of(log)}")
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise WorkerFailed(
            f"The agent's worker was not ready in {READY_WITHIN_S:g} s. It said:\n{_end_of(log)}"
        ) from None


def _command(python: Path, name: str) -> list[str]:
    """On Linux it ends with us, however we end."""
    command = [str(python.absolute()), str(PROGRAM), name]
    if sys.platform != "linux":
        return command
    guard = Path(die_with_parent.__file__)
    return [sys.executable, "-I", "-S", str(guard), str(os.getpid()), *command]


def _folders() -> Iterator[Path]:
    here = Path.cwd()
    yield from (here, *here.parents)
    yield from Path(__file__).resolve().parents


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_SHOWN:].strip()
