"""The schema: from empty, step by step, and what is refused."""

import sqlite3
from pathlib import Path

import pytest

from utd_engine.adapters.sqlite.lock import StoreLocked
from utd_engine.adapters.sqlite.migrate import (
    Migration,
    SchemaError,
    Status,
    migrate,
    shipped,
    status,
)
from utd_engine.adapters.sqlite.store import SqliteStore

ONE = Migration(1, "0001_a.sql", "CREATE TABLE a (x INTEGER); -- first\nINSERT INTO a VALUES (1);")
TWO = Migration(2, "0002_b.sql", "-- second; it adds\nALTER TABLE a\n  ADD COLUMN y INTEGER;\n")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "utd.db"


def columns(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    found = [name for (name,) in db.execute("SELECT name FROM pragma_table_info('a')")]
    db.close()
    return found


def test_from_empty_to_the_newest(path: Path) -> None:
    versions = tuple(step.version for step in shipped())
    assert versions == tuple(range(1, len(versions) + 1))
    assert status(path) == Status((), versions)
    assert not path.exists(), "looking makes nothing"
    assert migrate(path) == Status(versions, ())
    assert migrate(path) == status(path) == Status(versions, ())


def test_only_what_is_missing_is_applied(path: Path) -> None:
    migrate(path, [ONE])
    assert status(path, [ONE, TWO]) == Status((1,), (2,))
    assert migrate(path, [ONE, TWO]) == Status((1, 2), ())
    assert columns(path) == ["x", "y"]


def test_a_step_that_fails_leaves_nothing(path: Path) -> None:
    bad = TWO._replace(sql="ALTER TABLE a ADD COLUMN y INTEGER; INSERT INTO b VALUES (1);")
    with pytest.raises(SchemaError, match=r"0002_b\.sql failed .* no such table"):
        migrate(path, [ONE, bad])
    assert status(path, [ONE, bad]) == Status((1,), (2,))
    assert columns(path) == ["x"]
    assert migrate(path, [ONE, TWO]).pending == ()


def test_an_edited_step_is_refused(path: Path) -> None:
    migrate(path, [ONE])
    with pytest.raises(SchemaError, match=r"0001_a\.sql is not the one that was applied"):
        migrate(path, [ONE._replace(sql=ONE.sql + "\n"), TWO])
    with pytest.raises(SchemaError, match="never edit"):
        status(path, [ONE._replace(sql=ONE.sql + "\n")])
    assert columns(path) == ["x"]


def test_a_newer_schema_is_refused(path: Path) -> None:
    migrate(path, [ONE, TWO])
    with pytest.raises(SchemaError, match="at schema 2, this engine knows 1"):
        migrate(path, [ONE])


def test_semicolons_in_texts_and_comments_end_nothing(path: Path) -> None:
    migrate(path, [ONE._replace(sql="CREATE TABLE a (x TEXT DEFAULT ';', -- one; two\n y); -- z")])
    assert columns(path) == ["x", "y"]


def test_a_step_ends_with_a_whole_statement(path: Path) -> None:
    with pytest.raises(SchemaError, match="in the middle of"):
        migrate(path, [ONE._replace(sql="CREATE TABLE a (x INTEGER)")])


async def test_a_store_refuses_a_schema_it_does_not_know(path: Path) -> None:
    newer = Migration(len(shipped()) + 1, "9999_z.sql", "CREATE TABLE z (x INTEGER);")
    migrate(path, [*shipped(), newer])
    for own in (True, False):
        with pytest.raises(SchemaError, match="this engine knows"):
            await SqliteStore.open(path, migrate=own)


async def test_a_store_that_must_not_migrate_says_what_to_run(path: Path) -> None:
    path.parent.mkdir()
    with pytest.raises(SchemaError, match=r"lacks schema steps 0001.*utd migrate"):
        await SqliteStore.open(path, migrate=False)
    migrate(path)
    store = await SqliteStore.open(path, migrate=False)
    await store.ping()
    await store.aclose()


async def test_nobody_migrates_under_a_running_engine(path: Path) -> None:
    store = await SqliteStore.open(path)
    with pytest.raises(StoreLocked):
        migrate(path)
    await store.aclose()


def test_the_schema_keeps_names_and_sequences_unique_by_itself(path: Path) -> None:
    migrate(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA foreign_keys = ON")
    room = "INSERT INTO aggregates VALUES (?, 'a', 'room', ?, 1, 0, 1, NULL, NULL, 1, x'')"
    db.execute(room, (1, "r1"))
    db.execute(room, (2, "r2"))
    name = "INSERT INTO names VALUES ('a', 'room:x:y', 'room', ?)"
    db.execute(name, ("r1",))
    event = "INSERT INTO events VALUES (NULL, 'a', 'room', 'r1', 1, 't', 0, 1, x'')"
    db.execute(event)
    for statement, values in ((room, (3, "r1")), (name, ("r2",)), (event, ())):
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            db.execute(statement, values)
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        db.execute("INSERT INTO names VALUES ('a', 'room:x:z', 'room', 'r9')")
    db.close()
