import ast
import inspect
import pickle
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import utd_stream
from utd_stream import agents

PRIVATE = {"_name", "_each"}
FOLDED = {"PersonalClient", "RoomConnection", "TokenAnswer"}
"""Bases that only split a long class: what they have is documented as the class's own."""


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


def test_what_signatures_name_can_be_imported() -> None:
    """Aliases are gone at run time, so annotations are read as they are written."""
    importable = {*utd_stream.__all__, *agents.__all__, *FOLDED}
    missing = {
        f"{where}: {name}"
        for path in Path(utd_stream.__file__).parent.glob("_[a-z]*/*.py")
        for where, name in _annotated(ast.parse(path.read_text()))
        if name not in importable
    }

    assert missing == set()


def test_what_fields_hold_can_be_imported() -> None:
    """Those of the protocol's types too."""
    missing = {
        f"{name}.{field}: {part.__name__}"
        for name in utd_stream.__all__
        if inspect.isclass(kind := getattr(utd_stream, name))
        for field, hint in typing.get_type_hints(kind).items()
        if not field.startswith("_")
        for part in _parts(hint)
        if inspect.isclass(part) and part.__module__.startswith("utd_")
        if part.__name__ not in utd_stream.__all__
    }

    assert missing == set()


def test_the_package_is_typed_and_its_door_only_a_door() -> None:
    package = Path(utd_stream.__file__).parent
    tree = ast.parse((package / "__init__.py").read_text())

    assert (package / "py.typed").exists()
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def _is_submodule(name: str, value: object) -> bool:
    return isinstance(value, ModuleType) and value.__name__ == f"utd_stream.{name}"


def _annotated(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Names of ours in the signatures, fields and bases of a module's exported classes."""
    ours = set(_names_of_ours(module))
    for kind in module.body:
        if not isinstance(kind, ast.ClassDef) or kind.name not in utd_stream.__all__:
            continue
        for member, annotation in (*((kind.name, base) for base in kind.bases), *_inside(kind)):
            for node in ast.walk(annotation):
                if isinstance(node, ast.Name) and node.id in ours:
                    yield f"{kind.name}.{member}", node.id


def _inside(kind: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for member in kind.body:
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            if not member.target.id.startswith("_"):
                yield member.target.id, member.annotation
        elif isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and _is_called(member):
            given = (*member.args.posonlyargs, *member.args.args, *member.args.kwonlyargs)
            for annotation in (*(each.annotation for each in given), member.returns):
                if annotation is not None:
                    yield member.name, annotation


def _is_called(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """By users: of constructors only those that say what they take."""
    if function.name == "__init__":
        return not (ast.get_docstring(function) or "Made by").startswith("Made by")
    return not function.name.startswith("_") or function.name in {"__aiter__", "__anext__"}


def _names_of_ours(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        match node:
            case ast.ImportFrom(module=str(source), names=names) if source.startswith("utd_"):
                yield from (each.asname or each.name for each in names)
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call()):
                continue  # a TypeVar
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case _:
                pass


def _parts(hint: object) -> Iterator[object]:
    yield hint
    for part in typing.get_args(hint):
        yield from _parts(part)
