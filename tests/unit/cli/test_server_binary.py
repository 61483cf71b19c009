"""Finding livekit-server: the pinned version or a clear answer, never half a program."""

import hashlib
import io
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from utd_cli.__main__ import COMMANDS, main
from utd_cli.media_server import release as server_release
from utd_cli.media_server.binary import ServerNotFound, cached_path, find_server, get_server
from utd_cli.media_server.build import build
from utd_cli.media_server.pin import VERSION, Unobtainable, check
from utd_cli.media_server.release import download

SCRIPT = "#!/bin/sh\necho livekit-server version {}\n"
GO = """#!/bin/sh
case "$1" in
env) echo go1.26.8 ;;
mod) test -f go.mod -a -f go.sum || exit 3 ;;
build)
  test "$CGO_ENABLED" = 0 || exit 4
  while test "$1" != -o; do shift; done
  printf '%s\\n' '#!/bin/sh' 'echo livekit-server version {}' > "$2"
  chmod +x "$2"
  {} ;;
esac
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def server(path: Path, version: str = VERSION) -> Path:
    return program(path, SCRIPT.format(version))


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No server, no Go, an empty cache; what the scripts above need stays on PATH."""
    monkeypatch.delenv("LIVEKIT_SERVER", raising=False)
    monkeypatch.setenv("UTD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path


@pytest.fixture
def lines() -> list[str]:
    return []


def refuse(reason: str, _scratch: Path, _report: object) -> Path:
    raise Unobtainable(reason)


# --- found ----------------------------------------------------------------------------------------


def test_there_may_be_none() -> None:
    assert find_server() is None


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server(tmp_path / "bin" / "livekit-server")
    chosen = server(tmp_path / "chosen")
    monkeypatch.setenv("LIVEKIT_SERVER", str(chosen))
    assert find_server() == chosen


def test_a_chosen_server_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server(tmp_path / "bin" / "livekit-server")
    monkeypatch.setenv("LIVEKIT_SERVER", str(server(tmp_path / "chosen", "1.9.0")))
    with pytest.raises(ServerNotFound, match=r"is not livekit-server .* version 1\.9\.0.*unset it"):
        find_server()


def test_a_chosen_server_that_is_missing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEKIT_SERVER", str(tmp_path / "nowhere"))
    with pytest.raises(ServerNotFound, match=r"nowhere cannot be run .*No such file"):
        find_server()


def test_path_comes_before_the_cache(tmp_path: Path) -> None:
    server(cached_path())
    on_path = server(tmp_path / "bin" / "livekit-server")
    assert find_server() == on_path


def test_another_version_on_path_is_passed_over(tmp_path: Path) -> None:
    server(tmp_path / "bin" / "livekit-server", "1.9.0")
    cached = server(cached_path())
    assert find_server() == cached


def test_what_is_no_program_is_passed_over() -> None:
    program(cached_path(), "").chmod(0o644)
    assert find_server() is None


def test_the_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cached_path().parent == tmp_path / "cache"
    monkeypatch.delenv("UTD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cached_path().parent == tmp_path / "xdg" / "utd"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cached_path().parent == tmp_path / ".cache" / "utd"


# --- got ------------------------------------------------------------------------------------------


def test_the_first_way_that_works_fills_the_cache(lines: list[str]) -> None:
    ways = [partial(refuse, "no network"), lambda scratch, _: server(scratch / "made")]
    assert get_server(lines.append, ways) == cached_path()
    check(cached_path())
    assert lines[0] == "no network."
    assert sorted(path.name for path in cached_path().parent.iterdir()) == [
        "get.lock",
        cached_path().name,
    ]


def test_what_is_here_is_not_got_again(lines: list[str]) -> None:
    server(cached_path())
    assert get_server(lines.append, [partial(refuse, "asked")]) == cached_path()
    assert lines == []


def test_a_way_that_yields_another_version_did_not_work(lines: list[str]) -> None:
    with pytest.raises(ServerNotFound, match=r"version 9\.9\.9"):
        get_server(lines.append, [lambda scratch, _: server(scratch / "made", "9.9.9")])
    assert not cached_path().exists()


def test_a_failure_lists_what_was_tried(lines: list[str]) -> None:
    with pytest.raises(ServerNotFound) as failure:
        get_server(lines.append, [partial(refuse, "no network"), partial(refuse, "no Go")])
    assert str(failure.value) == (
        f"There is no livekit-server {VERSION} here and none could be got:\n"
        "  - LIVEKIT_SERVER is not set\n"
        f"  - PATH and {cached_path()} have no livekit-server {VERSION}\n"
        "  - no network\n"
        "  - no Go\n"
        "Install it by hand and name it in LIVEKIT_SERVER, or install Go 1.26 and try again."
    )


def test_two_that_start_at_once_get_it_once() -> None:
    began, may_end = threading.Event(), threading.Event()
    made: list[Path] = []
    first_lines: list[str] = []
    waiting = threading.Event()

    def make(scratch: Path, _: object) -> Path:
        began.set()
        may_end.wait(10)
        made.append(scratch)
        return server(scratch / "made")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(get_server, first_lines.append, [make])
        assert began.wait(10)
        second = threads.submit(get_server, lambda _: waiting.set(), [make])
        assert waiting.wait(10)  # it said that it waits
        may_end.set()
        assert first.result(10) == second.result(10) == cached_path()
    assert len(made) == 1


# --- built ----------------------------------------------------------------------------------------


def test_a_build_uses_the_module_that_is_shipped(tmp_path: Path, lines: list[str]) -> None:
    program(tmp_path / "bin" / "go", GO.format(VERSION, "exit 0"))
    (tmp_path / "scratch").mkdir()
    check(build(tmp_path / "scratch", lines.append))
    assert "Compiling" in lines[-1]


def test_a_failed_build_says_why(tmp_path: Path, lines: list[str]) -> None:
    program(tmp_path / "bin" / "go", GO.format(VERSION, "echo out of disk >&2; exit 1"))
    (tmp_path / "scratch").mkdir()
    with pytest.raises(Unobtainable, match=r"go build -trimpath failed:\n    out of disk"):
        build(tmp_path / "scratch", lines.append)


def test_the_module_pins_the_version_that_is_asked_for() -> None:
    module = Path(sys.modules["utd_cli"].__path__[0]) / "livekit_module" / "go.mod"
    assert f"github.com/livekit/livekit-server v{VERSION} " in module.read_text()


# --- downloaded -----------------------------------------------------------------------------------


def archive(member: str = "livekit-server") -> bytes:
    packed, text = io.BytesIO(), SCRIPT.format(VERSION).encode()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size, info.mode = len(text), 0o755
        tar.addfile(info, io.BytesIO(text))
    return packed.getvalue()


def checksums(content: bytes) -> bytes:
    return f"{'0' * 64}  other.zip\n{hashlib.sha256(content).hexdigest()}  {ASSET}\n".encode()


ASSET = f"livekit_{VERSION}_linux_amd64.tar.gz"


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web server with the files of a release, for a machine that has one."""
    monkeypatch.setattr(server_release.platform, "system", lambda: "Linux")
    monkeypatch.setattr(server_release.platform, "machine", lambda: "x86_64")
    files: dict[str, bytes] = {}

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path.lstrip("/"))
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}", files
        http.shutdown()
        thread.join()


Release = tuple[str, dict[str, bytes]]


def test_a_release_with_its_sum_is_taken(
    release: Release, tmp_path: Path, lines: list[str]
) -> None:
    url, files = release
    files |= {ASSET: archive(), "checksums.txt": checksums(archive())}
    check(download(tmp_path, lines.append, release=url))
    assert ASSET in lines[-1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({ASSET: b"changed on the way"}, f"the SHA-256 of {ASSET} is not the one"),
        ({"checksums.txt": b"0  other.zip\n"}, f"does not name {ASSET}"),
        ({"checksums.txt": None}, r"checksums\.txt cannot be fetched .*404"),
        ({ASSET: None}, rf"{ASSET} cannot be fetched .*404"),
        (
            {ASSET: archive("README"), "checksums.txt": checksums(archive("README"))},
            "does not hold livekit-server",
        ),
        ({ASSET: b"no tar", "checksums.txt": checksums(b"no tar")}, "does not hold livekit-server"),
    ],
)
def test_another_release_is_refused(
    release: Release,
    tmp_path: Path,
    lines: list[str],
    changes: dict[str, bytes | None],
    reason: str,
) -> None:
    url, files = release
    complete = {ASSET: archive(), "checksums.txt": checksums(archive())} | changes
    files |= {name: body for name, body in complete.items() if body is not None}
    with pytest.raises(Unobtainable, match=reason):
        download(tmp_path, lines.append, release=url)


def test_an_unreachable_release_is_no_way(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(Unobtainable, match=r"cannot be fetched|no official release"):
        download(tmp_path, lines.append, release="http://127.0.0.1:9")


def test_a_platform_without_a_release_is_named(
    tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_release.platform, "system", lambda: "Plan9")
    with pytest.raises(Unobtainable, match="no official release for plan9/"):
        download(tmp_path, lines.append, release="http://127.0.0.1:9")


# --- the command ----------------------------------------------------------------------------------


def test_path_prints_it_or_says_how_to_get_it() -> None:
    missing = CliRunner().invoke(main, ["livekit", "path"])
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "utd livekit install" in missing.stderr
    server(cached_path())
    found = CliRunner().invoke(main, ["livekit", "path"])
    assert (found.exit_code, found.stdout) == (0, f"{cached_path()}\n")


def test_install_prints_where_it_is() -> None:
    server(cached_path())
    done = CliRunner().invoke(main, ["livekit", "install"])
    assert (done.exit_code, done.stdout) == (0, f"{cached_path()}\n")


def test_a_wrong_choice_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_SERVER", "/nowhere")
    for command in ("path", "install"):
        done = CliRunner().invoke(main, ["livekit", command])
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: LIVEKIT_SERVER: /nowhere cannot be run")


def test_version_prints_the_pin() -> None:
    assert CliRunner().invoke(main, ["livekit", "version"]).stdout == f"{VERSION}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert (done.exit_code, done.exception) == (0, None)


def test_an_unknown_command_is_refused() -> None:
    done = CliRunner().invoke(main, ["fly"])
    assert done.exit_code == 2
    assert "No such command 'fly'" in done.stderr


def test_help_imports_no_command() -> None:
    """It must be there at once: the media stack alone takes longer to import than people wait."""
    code = (
        "import sys; from utd_cli.__main__ import main; main(['--help'], standalone_mode=False);"
        "print(sorted({m.partition('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "livekit" in done.stdout
    assert not {"'livekit'", "'aiohttp'", "'utd_engine'", "'utd_stream'"} & set(
        done.stderr.strip("[]\n").split(", ")
    )
