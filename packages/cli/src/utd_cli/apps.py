"""`utd apps`: apps and their keys, by the operator's port of a running engine."""

from datetime import datetime
from urllib.parse import quote

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from utd_cli._engine_api import EngineAPI
from utd_cli._narration import printable
from utd_cli._reach import with_admin

MODES = click.Choice(["development", "production"])
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")


class App(Struct, frozen=True):
    """An app as the operator sees it."""

    app_id: str
    name: str
    mode: str


class Apps(Struct, frozen=True):
    """All of them."""

    items: tuple[App, ...]


class NewApp(Struct, frozen=True):
    """What is told once: keys are kept hashed."""

    app_id: str
    name: str
    mode: str
    app_key: str
    secret_key: str
    identity_secret: str


class Key(Struct, frozen=True):
    """A key by its first characters."""

    kind: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None


class Keys(Struct, frozen=True):
    """All keys of an app, revoked ones too."""

    items: tuple[Key, ...]


class NewKey(Struct, frozen=True):
    """What is told once."""

    kind: str
    key: str
    prefix: str


@click.group()
def apps() -> None:
    """Make apps and their keys. A running `utd dev` is found by itself."""


@apps.command()
@click.argument("name")
@click.option(
    "--mode",
    default="production",
    show_default=True,
    type=MODES,
    help="In development the publishable key alone opens the door for any identity.",
)
@click.option("--app-id", help="An id of your own; otherwise the engine makes one.")
@json_option
@with_admin
def create(api: EngineAPI, name: str, mode: str, app_id: str | None, *, as_json: bool) -> None:
    """Make an app NAME. Its keys are printed once and never again."""
    body = {"name": name, "mode": mode} | ({"app_id": app_id} if app_id else {})
    _tell(api.send("POST", "/admin/v1/apps", NewApp, body), as_json=as_json)


@apps.command(name="ls")
@json_option
@with_admin
def ls(api: EngineAPI, *, as_json: bool) -> None:
    """List the apps."""
    found = api.get("/admin/v1/apps", Apps).items
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    table = Table("app id", "name", "mode", box=None)
    for app in found:
        table.add_row(Text(app.app_id, "bold"), Text(printable(app.name)), app.mode)
    Console().print(table if found else "There is no app yet.")


@apps.command()
@click.argument("app_id")
@click.argument("mode", type=MODES)
@json_option
@with_admin
def mode(api: EngineAPI, app_id: str, mode: str, *, as_json: bool) -> None:
    """Set the mode of APP_ID; open rooms stay open."""
    path = f"/admin/v1/apps/{quote(app_id, safe='')}"
    _tell(api.send("PATCH", path, App, {"mode": mode}), as_json=as_json)


@apps.group()
def keys() -> None:
    """List, add and revoke the keys of an app."""


@keys.command(name="ls")
@click.argument("app_id")
@json_option
@with_admin
def list_keys(api: EngineAPI, app_id: str, *, as_json: bool) -> None:
    """List the keys of APP_ID by their first characters."""
    found = api.get(_keys_path(app_id), Keys).items
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    table = Table("key", "kind", "since", "revoked", box=None)
    for key in found:
        revoked = "" if key.revoked_at is None else _time(key.revoked_at)
        table.add_row(Text(f"{key.prefix}…", "bold"), key.kind, _time(key.created_at), revoked)
    Console().print(table)


@keys.command()
@click.argument("app_id")
@click.argument("kind", type=click.Choice(["publishable", "secret"]))
@json_option
@with_admin
def add(api: EngineAPI, app_id: str, kind: str, *, as_json: bool) -> None:
    """Make one more key for APP_ID. It is printed once and never again."""
    _tell(api.send("POST", _keys_path(app_id), NewKey, {"kind": kind}), as_json=as_json)


@keys.command()
@click.argument("app_id")
@click.argument("prefix")
@with_admin
def revoke(api: EngineAPI, app_id: str, prefix: str) -> None:
    """Stop honouring the key of APP_ID that begins with PREFIX, at once."""
    path = f"{_keys_path(app_id)}/{quote(prefix, safe='')}"
    api.send("DELETE", path, dict[str, bool])
    click.echo(f"{prefix}… is revoked.")


def _keys_path(app_id: str) -> str:
    return f"/admin/v1/apps/{quote(app_id, safe='')}/keys"


def _tell(made: Struct, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(made).decode())
        return
    for name, value in msgspec.structs.asdict(made).items():  # plain: a key must never be cut
        click.echo(f"{name:16} {printable(str(value))}")


def _time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
