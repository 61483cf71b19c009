"""The engine's configuration: one frozen model, read once, checked whole.

Each field's docstring below is its entry on the reference page; `tools/config_page.py` writes it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, structs

MASTER_SECRET_CHARS: Final = 43
"""32 random bytes in base64 for URLs."""
ADMIN_TOKEN_CHARS: Final = 24
LIVEKIT_SECRET_CHARS: Final = 32
WELL_KNOWN: Final = frozenset({"secret", "devkey", "changeme"})
_ORIGIN: Final = re.compile(r"https?://[^/\s*]+")
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
PerSecond = Annotated[float, Meta(ge=0)]


class ConfigError(Exception):
    """The configuration is wrong; the text names the field and the fix."""


class HTTP(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public door: clients and the app's backend."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8080
    """Port to listen on; 0 takes any free one."""
    public_url: str = ""
    """How clients reach the engine, when it is not at host and port. Ends without a slash."""
    origins: tuple[str, ...] = ("*",)
    """Origins whose pages may call the engine (CORS). Credentials are never sent."""


class Admin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator's door: apps and keys, probes, metrics. Keep it off the internet."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8081
    """Port to listen on; 0 takes any free one."""
    token: str = ""
    """Bearer for `/admin/v1`, at least 24 characters. Empty: no admin API. `UTD_ADMIN_TOKEN`."""


class Store(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the truth is kept."""

    path: str = "utd.db"
    """The SQLite file, on a local disk. Relative to the configuration file."""
    keep_days: Count = 7
    """Events older than this are dropped; clients that come later load the view."""


class LiveKit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The media server."""

    url: str = "ws://127.0.0.1:7880"
    """Where clients connect, `ws://…` or `wss://…`."""
    api_url: str = ""
    """Where the engine calls its API, when it is another address than `url`."""
    api_key: str = ""
    """Name of the key pair. `UTD_LIVEKIT_API_KEY`."""
    api_secret: str = ""
    """Secret of the key pair, at least 32 characters. `UTD_LIVEKIT_API_SECRET`."""


class Security(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Secrets of the engine itself."""

    master_secrets: tuple[str, ...] = ()
    """At least one of at least 43 characters. The first signs, all verify: put a new one first to
    rotate. `UTD_MASTER_SECRET` comes before them. Make one with `utd secret`."""


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one caller may ask for. A rate of 0 means no limit."""

    writes_per_second: PerSecond = 20.0
    """Commands of one identity."""
    writes_burst: Count = 40
    """Commands of one identity at once."""
    mints_per_second: PerSecond = 5.0
    """Tokens for one identity."""
    mints_burst: Count = 20
    """Tokens for one identity at once."""
    failures_per_second: PerSecond = 5.0
    """Refused credentials from one address."""
    failures_burst: Count = 50
    """Refused credentials from one address at once."""


class Log(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written."""
    format: Literal["json", "text"] = "json"
    """One JSON object a line, or lines for people."""


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything, a section an area."""

    http: HTTP = HTTP()
    admin: Admin = Admin()
    store: Store = Store()
    livekit: LiveKit = LiveKit()
    security: Security = Security()
    limits: Limits = Limits()
    log: Log = Log()


_ENVIRONMENT: Final = {
    "UTD_ADMIN_TOKEN": ("admin", "token"),
    "UTD_LIVEKIT_API_KEY": ("livekit", "api_key"),
    "UTD_LIVEKIT_API_SECRET": ("livekit", "api_secret"),
}


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read, complete from the environment, and check a configuration file.

    Raises:
        ConfigError: naming the file, the field, and what would be right.
    """
    environment = os.environ if environment is None else environment
    try:
        config = msgspec.toml.decode(path.read_bytes(), type=Config)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {_plain(str(error))}") from error
    config = completed(config, environment)
    store = structs.replace(config.store, path=str(path.parent / config.store.path))
    config = structs.replace(config, store=store)
    problems = check(config)
    if problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems))
    return config


def completed(config: Config, environment: Mapping[str, str]) -> Config:
    """The configuration with secrets from the environment."""
    for name, (section, field) in _ENVIRONMENT.items():
        if environment.get(name):
            part = structs.replace(getattr(config, section), **{field: environment[name]})
            config = structs.replace(config, **{section: part})
    master = environment.get("UTD_MASTER_SECRET")
    if master:
        secrets = (master, *config.security.master_secrets)
        security = structs.replace(config.security, master_secrets=secrets)
        config = structs.replace(config, security=security)
    return config


def check(config: Config) -> list[str]:
    """Everything that would be unsafe or cannot work, each with its fix."""
    return [*_check_doors(config), *_check_livekit(config.livekit)]


def _check_doors(config: Config) -> list[str]:
    problems: list[str] = []
    url = config.http.public_url
    if url and (not url.startswith(("http://", "https://")) or url.endswith("/")):
        problems.append("http.public_url: must begin with http:// or https:// and end without /.")
    problems.extend(
        f"http.origins: {origin!r} is no origin; write scheme://host[:port], or '*'."
        for origin in config.http.origins
        if origin != "*" and not _ORIGIN.fullmatch(origin)
    )
    if not config.security.master_secrets:
        problems.append(
            "security.master_secrets: give one, or set UTD_MASTER_SECRET; see `utd secret`."
        )
    if any(len(secret) < MASTER_SECRET_CHARS for secret in config.security.master_secrets):
        problems.append(
            f"security.master_secrets: at least {MASTER_SECRET_CHARS} characters each; "
            "see `utd secret`."
        )
    if config.admin.token and len(config.admin.token) < ADMIN_TOKEN_CHARS:
        problems.append(f"admin.token: at least {ADMIN_TOKEN_CHARS} characters, or none.")
    return problems


def _check_livekit(livekit: LiveKit) -> list[str]:
    problems: list[str] = []
    if not livekit.url.startswith(("ws://", "wss://")):
        problems.append("livekit.url: must begin with ws:// or wss://.")
    if livekit.api_url and not livekit.api_url.startswith(("http://", "https://")):
        problems.append("livekit.api_url: must begin with http:// or https://.")
    if not livekit.api_key:
        problems.append("livekit.api_key: give LiveKit's key, or set UTD_LIVEKIT_API_KEY.")
    if len(livekit.api_secret) < LIVEKIT_SECRET_CHARS or livekit.api_secret in WELL_KNOWN:
        problems.append(
            f"livekit.api_secret: at least {LIVEKIT_SECRET_CHARS} characters, the same as in "
            "LiveKit's own configuration; or set UTD_LIVEKIT_API_SECRET."
        )
    if livekit.api_key == "devkey":
        problems.append("livekit.api_key: 'devkey' is known to everybody; choose another name.")
    return problems


def api_url(livekit: LiveKit) -> str:
    """Where the engine calls LiveKit's API."""
    return livekit.api_url or "http" + livekit.url.removeprefix("ws")


def _plain(message: str) -> str:
    """What msgspec says, with the path as people write it."""
    text, _, where = message.partition(" - at `$.")
    return f"{where.rstrip('`')}: {text}" if where else text
