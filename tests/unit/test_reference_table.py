"""Every member of the reference has a name here, takes what it takes there, and has a proof."""

import ast
import functools
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import reference_table
from reference_table import ROOT, Row

import utd_stream
import utd_stream.agents
from utd_stream.agents import LiteralTokenSource, Session

ROWS = reference_table.rows()
OBJECTS_OWN = ("noSuchMethod",)
"""Methods of every object, which Python calls with arguments of its own."""


def name_of(row: Row) -> str:
    return f"{row.group}.{row.member}"


def resolve(name: str) -> Any:
    """What a dotted name stands for; a value that only instances have stands for its class."""
    found: Any = utd_stream
    for part in name.split(".")[1:]:
        if isinstance(found, ModuleType) or hasattr(found, part):
            found = getattr(found, part)
        else:
            assert part in inspect.signature(found).parameters, f"there is no {name}"
    return found


@functools.cache
def collected(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if hasattr(node, "args") and hasattr(node, "name")]
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_each_member_has_a_name_here(row: Row) -> None:
    assert row.python, f"docs/reference/proofs.toml has no row for {name_of(row)}"
    found = resolve(row.python)
    if row.arguments and row.member not in OBJECTS_OWN:
        taken = inspect.signature(found).parameters
        missing = [
            each for each in row.arguments if row.renamed.get(each, snake(each)) not in taken
        ]
        assert not missing, f"{row.python} does not take {missing}"


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_each_member_has_a_proof(row: Row) -> None:
    path, _, test = row.proof.partition("::")
    assert path, f"docs/reference/proofs.toml has no proof for {name_of(row)}"
    assert (ROOT / path).is_file(), f"there is no {path}"
    assert test in collected(ROOT / path), f"there is no {row.proof}"
    named = row.python.rpartition(".")[2]
    words = re.findall(r"\w+", (ROOT / path).read_text(encoding="utf-8"))
    assert named.startswith("__") or named in words, f"{path} never says {named}"


def test_no_row_answers_a_member_that_is_not_there() -> None:
    members = {(row.group, row.member) for row in ROWS}
    answered = {
        (group, member)
        for group, answers in reference_table.proofs().items()
        for member in answers
        if member not in {"python", "renamed"}
    }
    assert len(members) == len(ROWS), "a member stands twice in docs/reference/members.toml"
    assert answered == members


def test_the_page_is_of_now() -> None:
    assert reference_table.PAGE.read_text(encoding="utf-8") == reference_table.page(), (
        "run: python tools/reference_table.py"
    )


def test_a_name_that_is_not_there_is_noticed() -> None:
    for wrong in ("utd_stream.UTDStreamClient.fly", "utd_stream.Nobody", "utd_stream.UTDCall.fly"):
        with pytest.raises((AssertionError, AttributeError)):
            resolve(wrong)


async def test_what_every_object_has() -> None:
    source = LiteralTokenSource(server_url="ws://127.0.0.1:9", participant_token="t")
    one, other = Session.from_fixed_token_source(source), Session.from_fixed_token_source(source)
    assert one != other
    assert one == one  # noqa: PLR0124 equality itself
    assert len({one, other, one}) == 2
    assert type(one) is Session
    assert "Session" in repr(one)
    with pytest.raises(AttributeError, match="fly"):
        one.fly()  # type: ignore[attr-defined]
    for session in (one, other):
        await session.dispose()
        await session.room.aclose()
