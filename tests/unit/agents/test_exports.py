import ast
import inspect
from pathlib import Path

import pytest

from utd_stream import agents

REFERENCE = """
    agent connection_state dispose_func_count error has_listeners is_connected is_disposed
    messages room add_listener dismiss_error dispose end get_message_history notify_listeners
    on_dispose remove_listener restore_message_history send_text start
    from_configurable_token_source from_fixed_token_source with_agent
"""


def test_exports_are_sorted_and_exact() -> None:
    public = {
        name
        for name, value in vars(agents).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert agents.__all__ == sorted(agents.__all__)
    assert set(agents.__all__) == public


@pytest.mark.parametrize("member", REFERENCE.split())
def test_every_member_of_the_reference_is_there(member: str) -> None:
    assert hasattr(agents.Session, member)


def test_everything_of_ours_shows_its_public_path() -> None:
    modules = {getattr(getattr(agents, name), "__module__", "") for name in agents.__all__}
    assert not [each for each in modules if each.startswith("utd_stream.agents._")]


def test_every_public_member_is_documented() -> None:
    bare = [
        f"{name}.{member}"
        for name in agents.__all__
        if inspect.isclass(kind := getattr(agents, name))
        for member, value in vars(kind).items()
        if not member.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property | classmethod))
        and not inspect.getdoc(getattr(kind, member))
    ]
    assert bare == []


def test_nothing_here_imports_livekit() -> None:
    folder = Path(agents.__file__).parent
    imported = {
        name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _names(node)
    }
    assert not [each for each in imported if each.split(".")[0] == "livekit"]


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
