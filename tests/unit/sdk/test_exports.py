import ast
import inspect
import pickle
from pathlib import Path
from types import ModuleType

import utd_stream
from utd_stream import agents

PRIVATE = {"_name", "_each"}


def test_exports_are_sorted_and_exact() -> None:
    public = {
        name
        for name, value in vars(utd_stream).items()
        if not name.startswith("_") and not _is_submodule(name, value)
    }

    assert utd_stream.__all__ == sorted(utd_stream.__all__)
    assert set(utd_stream.__all__) == public
    assert not PRIVATE & set(vars(utd_stream))


def test_what_the_reference_names_is_there() -> None:
    named = {
        "UTDStreamClient",
        "UTDSession",
        "UTDAudioRoomSession",
        "UTDCallSession",
        "UTDLiveStreamSession",
        "UTDRoom",
        "UTDStreamType",
        "UTDCallStatus",
        "UTDTokenResponse",
        "UTDCall",
        "UTDStageMember",
        "UTDStreamException",
    }

    assert named <= set(utd_stream.__all__)


def test_everything_of_ours_shows_its_public_path() -> None:
    hidden = [
        name
        for name in utd_stream.__all__
        if getattr(getattr(utd_stream, name), "__module__", "").startswith("utd_stream._")
    ]

    assert hidden == []
    assert repr(utd_stream.Kicked) == "<class 'utd_stream.Kicked'>"
    assert pickle.loads(pickle.dumps(utd_stream.Role.HOST)) is utd_stream.Role.HOST  # noqa: S301


def test_every_error_of_the_tree_is_exported() -> None:
    todo, tree = [utd_stream.UTDStreamException], set()
    while todo:
        kind = todo.pop()
        if kind.__module__ == "utd_stream":  # not those of `utd_stream.agents`, another door
            tree.add(kind.__name__)
        todo += kind.__subclasses__()

    assert tree <= {*utd_stream.__all__, *agents.__all__}


def test_every_public_member_is_documented() -> None:
    bare = [
        f"{name}.{member}"
        for name in utd_stream.__all__
        if inspect.isclass(kind := getattr(utd_stream, name)) and kind.__module__ == "utd_stream"
        for member, value in vars(kind).items()
        if not member.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
        and not inspect.getdoc(value)
    ]

    assert bare == []


def test_the_package_is_typed_and_its_door_only_a_door() -> None:
    package = Path(utd_stream.__file__).parent
    tree = ast.parse((package / "__init__.py").read_text())

    assert (package / "py.typed").exists()
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def _is_submodule(name: str, value: object) -> bool:
    return isinstance(value, ModuleType) and value.__name__ == f"utd_stream.{name}"
