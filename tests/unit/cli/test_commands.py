import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from utd_cli import __main__ as cli
from utd_cli._state import RunningStack, StateFolder

NOBODY = "http://127.0.0.1:9"
STACK = RunningStack(
    base_url=NOBODY,
    app_id="dev",
    app_key="pk_x",
    secret_key="sk_hidden",
    admin_url=NOBODY,
    admin_token="token_hidden",
    livekit_url="ws://127.0.0.1:9",
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("UTD_BASE_URL", "UTD_SECRET_KEY", "UTD_ADMIN_URL", "UTD_ADMIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def utd(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    context = click.Context(group)
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += every_command(command, (*path, name))
    return found


def test_help_imports_no_command() -> None:
    program = (
        "import sys; from utd_cli.__main__ import main; main(['--help'], standalone_mode=False);"
        "ours = ('utd_', 'rich', 'numpy', 'aiohttp');"
        "print(sorted(name for name in sys.modules if name.startswith(ours)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines()[-1] == "['utd_cli', 'utd_cli.__main__']"
    for name in cli.COMMANDS:
        assert name in told.stdout


def test_version() -> None:
    assert utd("--version").output.startswith("utd, version ")


@pytest.mark.parametrize("path", every_command(cli.main), ids=" ".join)
def test_every_command_explains_itself_and_each_option(path: tuple[str, ...]) -> None:
    told = utd(*path, "--help")
    assert told.exit_code == 0
    command: click.Command = cli.main
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_an_unknown_command_is_refused() -> None:
    told = utd("dance")
    assert told.exit_code == 2
    assert "No such command 'dance'" in told.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dev", "--port", "70000"), "'--port'"),
        (("dev", "--port", "x"), "'--port'"),
        (("demo", "--wav", "nowhere.wav"), "'--wav'"),
        (("demo", "--out", "nowhere/heard.wav"), "--out"),
        (("serve",), "'--config'"),
        (("serve", "--config", "nowhere.toml"), "'--config'"),
        (("rooms", "show"), "'NAME'"),
        (("rooms", "show", "lobby", "--type", "pub"), "'--type'"),
        (("events", "tail", "--after", "-1"), "'--after'"),
        (("apps", "create", "Mine", "--mode", "wild"), "'--mode'"),
        (("apps", "keys", "add", "mine", "golden"), "golden"),
        (("rooms", "ls"), "utd dev"),
        (("events", "tail"), "--base-url"),
        (("apps", "ls"), "--admin-url"),
        (("rooms", "ls", "--base-url", NOBODY), "--secret-key"),
    ],
)
def test_wrong_use_names_what_is_wrong(arguments: tuple[str, ...], words: str) -> None:
    told = utd(*arguments)
    assert told.exit_code == 2, told.output
    assert words in told.output


def test_a_stack_that_was_killed_is_told_and_no_secret_is_shown() -> None:
    with StateFolder.hold(Path(".utd")) as folder:
        folder.announce(STACK)
        for arguments in (("rooms", "ls"), ("events", "tail"), ("apps", "ls")):
            told = utd(*arguments)
            assert told.exit_code == 1
            assert NOBODY in told.output
            assert "utd dev" in told.output
            assert "hidden" not in told.output


def test_a_kept_secret_is_sent_to_its_own_stack_only() -> None:
    with StateFolder.hold(Path(".utd")) as folder:
        folder.announce(STACK)
        told = utd("rooms", "ls", "--base-url", "http://127.0.0.1:10")
    assert told.exit_code == 2
    assert "--secret-key" in told.output


def test_secrets_differ_and_are_long_enough() -> None:
    made = {utd("secret").output.strip() for _ in range(3)}
    assert len(made) == 3
    assert min(map(len, made)) >= 43


RIGHT = """
[livekit]
api_key = "utd"
api_secret = "{secret}"
[security]
master_secrets = ["{secret}"]
"""


def config(text: str) -> str:
    path = Path("engine.toml")
    path.write_text(text.replace("{secret}", "s" * 43))
    return str(path)


def test_a_right_configuration() -> None:
    told = utd("check-config", "--config", config(RIGHT))
    assert (told.exit_code, told.output) == (0, "engine.toml is right.\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "security.master_secrets"),
        (RIGHT + "\n[http]\nport = 99999\n", "http.port"),
        (RIGHT + "\n[htpt]\nport = 1\n", "htpt"),
        ("[", "engine.toml"),
    ],
)
def test_a_wrong_configuration_names_the_field(text: str, words: str) -> None:
    path = config(text)
    for command in ("check-config", "migrate", "serve"):
        told = utd(command, "--config", path)
        assert told.exit_code == 1
        assert words in told.output
        assert "Traceback" not in told.output


def test_migrating_twice_changes_nothing_the_second_time() -> None:
    path = config(RIGHT)
    first = utd("migrate", "--config", path)
    assert first.exit_code == 0, first.output
    assert "is at schema" in first.output
    assert "0 steps applied now" in utd("migrate", "--config", path).output
    assert Path("utd.db").exists()
