"""Each import contract breaks when it is broken: one wrong import is planted for each.

A contract that cannot fail is worse than none.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("protocol", "sdk", "engine", "cli")

PLANTS: Final = {
    "Engine: imports point inwards only": (
        "utd_engine/domain/seats.py",
        "import utd_engine.app.rooms",
    ),
    "Domain and protocol do no I/O": ("utd_protocol/types.py", "import time"),
    "Only main joins the edges to the adapters": (
        "utd_engine/loops/trim.py",
        "import utd_engine.adapters.memory.store",
    ),
    "SDK and engine meet only in the protocol": (
        "utd_stream/_engine/sync.py",
        "import utd_engine.domain.seats",
    ),
    "The CLI starts the engine from few files": (
        "utd_cli/rooms.py",
        "import utd_engine.domain.seats",
    ),
    "livekit has one door on each side": ("utd_stream/_room/room.py", "import livekit.rtc"),
    "The database driver stays in the store": ("utd_engine/app/rooms.py", "import sqlite3"),
    "Nothing imports the command line": ("utd_stream/_client.py", "import utd_cli.rooms"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the four packages side by side, with the contracts."""
    folder = tmp_path_factory.mktemp("contracts")
    for package in PACKAGES:
        for source in (ROOT / "packages" / package / "src").iterdir():
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "livekit_module")
                shutil.copytree(source, folder / source.name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def broken(tree: Path) -> set[str]:
    """The contracts that do not hold in a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"}
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-logo", "--no-cache"],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.strip() for line in done.stdout.splitlines()]
    kept = {line.rpartition(" KEPT")[0] for line in lines if " KEPT" in line}
    failed = {line.rpartition(" BROKEN")[0] for line in lines if " BROKEN" in line}
    assert kept | failed == set(PLANTS), done.stdout + done.stderr
    assert bool(failed) is bool(done.returncode)
    return failed


def test_all_contracts_hold_and_each_has_a_plant(tree: Path) -> None:
    assert broken(tree) == set()


@pytest.mark.parametrize("contract", PLANTS)
def test_a_planted_import_breaks_its_contract(tree: Path, contract: str) -> None:
    name, planted = PLANTS[contract]
    module = tree / name
    before = module.read_text(encoding="utf-8")
    module.write_text(f"{before}\n{planted}\n", encoding="utf-8")
    try:
        assert contract in broken(tree)
    finally:
        module.write_text(before, encoding="utf-8")
