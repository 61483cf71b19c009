"""A program that becomes another program which ends when its parent ends (Linux).

`python -I -S _die_with_parent.py PARENT PROGRAM ARGUMENT…` asks the kernel for a SIGKILL at the
death of its parent and then executes PROGRAM. It is a program of its own, and not a function to
run between fork and exec, because our parent has threads. It must import nothing of ours.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, program: str, *arguments: str) -> None:
    """Become the program. The wish survives the exec; a parent that is gone already is seen."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execv(program, (program, *arguments))  # noqa: S606  # no shell is what we want
    except OSError as error:
        sys.exit(f"{program} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
