"""Checks of the tree that no linter knows: sizes, names, doors, and what must not be committed."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONGEST_FILE = 600
LONGEST_TEST = 800
LONGEST_FUNCTION = 70
PURE_LINES = 6000
"""With their documentation; docs/decisions/0001 says why it is more than 3,000."""
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
REGISTRIES = re.compile(
    r"(pypi\.org|pythonhosted\.org|registry\.npmjs\.org|proxy\.golang\.org|crates\.io/api|deb\.debian\.org)"
)
ALLOWED_LONG = {
    # Each with its reason.
    "packages/protocol/src/utd_protocol/events.py": "one list of all events",
}


def tracked() -> list[Path]:
    """Files that are or would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def problems() -> Iterator[str]:
    """Everything that is wrong, one line each."""
    files = tracked()
    python = [path for path in files if path.suffix == ".py"]
    for path in python:
        yield from _sizes(path)
        if path.stem.strip("_") in BANNED_NAMES:
            yield f"{_name(path)}: say what it is about; this name says nothing"
    yield from _pure_size(python)
    yield from _livekit_door(python)
    for path in files:
        yield from _foreign(path)


def _sizes(path: Path) -> Iterator[str]:
    source = path.read_text(encoding="utf-8")
    lines = source.count("\n")
    longest = LONGEST_TEST if "tests/" in _name(path) else LONGEST_FILE
    if lines > longest and _name(path) not in ALLOWED_LONG:
        yield f"{_name(path)}: {lines} lines; split it by noun"
    if "tests/" in _name(path):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            if length > LONGEST_FUNCTION and "# long:" not in source:
                yield f"{_name(path)}:{node.lineno}: {node.name} has {length} lines"


def _pure_size(python: list[Path]) -> Iterator[str]:
    pure = [path for path in python if "utd_protocol" in path.parts or "domain" in path.parts]
    own = [path for path in pure if "packages" in path.parts]
    total = sum(path.read_text(encoding="utf-8").count("\n") for path in own)
    if total > PURE_LINES:
        yield f"domain and protocol have {total} lines; at most {PURE_LINES} can still be read"


def _livekit_door(python: list[Path]) -> Iterator[str]:
    """import-linter knows `livekit` as one name; the engine may only know its messages."""
    for path in python:
        if "utd_engine" not in path.parts or "packages" not in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^\s*(?:from|import) (livekit[\w.]*)(.*)$", text, re.MULTILINE):
            module, rest = match.groups()
            if not module.startswith("livekit.protocol") and "import protocol" not in rest:
                yield f"{_name(path)}: the engine imports livekit.protocol only, not {module}"


def _foreign(path: Path) -> Iterator[str]:
    name = _name(path)
    if path.name == "uv.lock":
        yield f"{name}: the lock is requirements/*.txt"
    if path.suffix in {".png", ".wav", ".jpg"} or name == "tools/check_tree.py":
        return
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        yield f"{name}: a binary; build it instead"
        return
    host = REGISTRIES.search(text)
    if host is not None:
        yield f"{name}: names the registry {host[0]}"
    if path.name == "package-lock.json" and '"resolved"' in text:
        yield f"{name}: lock npm without addresses"


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def main() -> int:
    """Print what is wrong; 1 when anything is."""
    found = list(problems())
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
