"""The configuration: read whole, completed, and refused with the field and the fix."""

import importlib.util
from pathlib import Path

import pytest
from msgspec import structs

from utd_engine.config import (
    HTTP,
    Admin,
    Config,
    ConfigError,
    LiveKit,
    Security,
    api_url,
    check,
    completed,
    load,
)

SECRET = "m" * 43
GOOD = Config(
    security=Security(master_secrets=(SECRET,)),
    livekit=LiveKit(api_key="utd", api_secret="s" * 32),
)
FILE = f"""
[security]
master_secrets = ["{SECRET}"]
[livekit]
api_key = "utd"
api_secret = "{"s" * 32}"
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "utd.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_good_one_has_no_problems() -> None:
    assert check(GOOD) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"security": Security()},
            "security.master_secrets: give one, or set UTD_MASTER_SECRET; see `utd secret`.",
        ),
        (
            {"security": Security(master_secrets=(SECRET, "short"))},
            "security.master_secrets: at least 43 characters each; see `utd secret`.",
        ),
        ({"admin": Admin(token="t" * 23)}, "admin.token: at least 24 characters, or none."),
        (
            {"livekit": structs.replace(GOOD.livekit, url="http://x")},
            "livekit.url: must begin with ws:// or wss://.",
        ),
        (
            {"livekit": structs.replace(GOOD.livekit, api_url="ws://x")},
            "livekit.api_url: must begin with http:// or https://.",
        ),
        (
            {"livekit": structs.replace(GOOD.livekit, api_key="")},
            "livekit.api_key: give LiveKit's key, or set UTD_LIVEKIT_API_KEY.",
        ),
        (
            {"livekit": structs.replace(GOOD.livekit, api_key="devkey")},
            "livekit.api_key: 'devkey' is known to everybody; choose another name.",
        ),
        (
            {"livekit": structs.replace(GOOD.livekit, api_secret="secret")},
            (
                "livekit.api_secret: at least 32 characters, the same as in LiveKit's own "
                "configuration; or set UTD_LIVEKIT_API_SECRET."
            ),
        ),
        (
            {"http": HTTP(public_url="https://x.example/")},
            "http.public_url: must begin with http:// or https:// and end without /.",
        ),
        (
            {"http": HTTP(public_url="x.example")},
            "http.public_url: must begin with http:// or https:// and end without /.",
        ),
        (
            {"http": HTTP(origins=("https://a.example/path",))},
            (
                "http.origins: 'https://a.example/path' is no origin; "
                "write scheme://host[:port], or '*'."
            ),
        ),
        (
            {"http": HTTP(origins=("https://*.example",))},
            "http.origins: 'https://*.example' is no origin; write scheme://host[:port], or '*'.",
        ),
    ],
)
def test_each_problem_names_the_field_and_the_fix(change: dict[str, object], problem: str) -> None:
    assert check(structs.replace(GOOD, **change)) == [problem]


def test_all_problems_are_told_at_once() -> None:
    assert len(check(Config(http=HTTP(public_url="x"), admin=Admin(token="t")))) == 5


def test_a_file_is_read_and_its_paths_are_beside_it(tmp_path: Path) -> None:
    config = load(written(tmp_path, FILE), {})
    assert config.livekit == GOOD.livekit
    assert config.store.path == str(tmp_path / "utd.db")
    absolute = load(written(tmp_path, FILE + '[store]\npath = "/var/utd.db"\n'), {})
    assert absolute.store.path == "/var/utd.db"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[http]\nprot = 1", "http: Object contains unknown field `prot`"),
        ("[htpp]\nport = 1", "Object contains unknown field `htpp`"),
        ("[http]\nport = 70000", "http.port: Expected `int` <= 65535"),
        ("[http]\nport = '80'", "http.port: Expected `int`, got `str`"),
        ("[log]\nlevel = 'loud'", "log.level: Invalid enum value 'loud'"),
        ("[limits]\nwrites_burst = 0", "limits.writes_burst: Expected `int` >= 1"),
        ("[limits]\nwrites_per_second = -1", "limits.writes_per_second: Expected `float` >= 0"),
        ("[http", "Expected ']'"),
        (b"\xff", "invalid start byte"),
        ("", "security.master_secrets: give one"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str | bytes, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(path, {})
    assert str(error.value).startswith(f"{path}: ")
    assert told in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        load(tmp_path / "nowhere.toml", {})


def test_a_refusal_does_not_tell_secrets(tmp_path: Path) -> None:
    canary = "canary-" + "c" * 10
    text = FILE.replace(SECRET, canary).replace("s" * 32, canary) + f'[admin]\ntoken="{canary}"\n'
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, text), {})
    assert canary not in str(error.value)
    assert str(error.value).count("\n") == 2


def test_secrets_come_from_the_environment(tmp_path: Path) -> None:
    environment = {
        "UTD_ADMIN_TOKEN": "a" * 24,
        "UTD_LIVEKIT_API_KEY": "other",
        "UTD_LIVEKIT_API_SECRET": "o" * 32,
        "UTD_MASTER_SECRET": "n" * 43,
        "UTD_UNKNOWN": "x",
    }
    config = load(written(tmp_path, FILE), environment)
    assert config.admin.token == "a" * 24
    assert (config.livekit.api_key, config.livekit.api_secret) == ("other", "o" * 32)
    assert config.security.master_secrets == ("n" * 43, SECRET), "the new one signs"
    assert load(written(tmp_path, ""), environment).livekit.api_key == "other"


def test_the_environment_of_the_process_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UTD_ADMIN_TOKEN", "e" * 24)
    assert load(written(tmp_path, FILE)).admin.token == "e" * 24


def test_an_empty_variable_changes_nothing() -> None:
    assert completed(GOOD, {"UTD_MASTER_SECRET": "", "UTD_LIVEKIT_API_KEY": ""}) == GOOD


@pytest.mark.parametrize(
    ("livekit", "url"),
    [
        (LiveKit(url="ws://lk:7880"), "http://lk:7880"),
        (LiveKit(url="wss://lk.example"), "https://lk.example"),
        (LiveKit(url="wss://lk.example", api_url="http://10.0.0.1:7880"), "http://10.0.0.1:7880"),
    ],
)
def test_where_livekits_api_is(livekit: LiveKit, url: str) -> None:
    assert api_url(livekit) == url


def test_the_reference_page_is_up_to_date() -> None:
    root = Path(__file__).parents[3]
    spec = importlib.util.spec_from_file_location("config_page", root / "tools/config_page.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = tool.page(tool.SOURCE.read_text())
    assert page == tool.PAGE.read_text(), "run: python tools/config_page.py"
    for section in structs.fields(Config):
        assert f"## `[{section.name}]`" in page
        for field in structs.fields(section.type):
            assert f"| `{field.name}` |" in page
