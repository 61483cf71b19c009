"""Get livekit-server from its official release, checked against the SHA-256 of the release."""

import hashlib
import platform
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Final

from utd_cli.media_server.pin import VERSION, Report, Unobtainable

RELEASE: Final = f"https://github.com/livekit/livekit/releases/download/v{VERSION}"
REACHED_WITHIN_S: Final = 3.0
"""Networks without a way out are common, and there is another way to get the server."""
READ_WITHIN_S: Final = 30.0
ASSETS: Final = {
    ("linux", "x86_64"): "linux_amd64.tar.gz",
    ("linux", "aarch64"): "linux_arm64.tar.gz",
    ("linux", "armv7l"): "linux_armv7.tar.gz",
    ("windows", "amd64"): "windows_amd64.zip",
    ("windows", "arm64"): "windows_arm64.zip",
}


def download(scratch: Path, report: Report, *, release: str = RELEASE) -> Path:
    """The server of the official release for this platform.

    Args:
        scratch: an empty folder to work in.
        report: told each step.
        release: where the files of the release are.

    Raises `Unobtainable`.
    """
    machine = (platform.system().lower(), platform.machine().lower())
    if machine not in ASSETS:
        raise Unobtainable(f"there is no official release for {'/'.join(machine)}")
    asset = f"livekit_{VERSION}_{ASSETS[machine]}"
    report(f"Asking for the official release of livekit-server {VERSION}.")
    sums = _fetch(f"{release}/checksums.txt", REACHED_WITHIN_S).decode(errors="replace")
    report(f"Downloading {asset}.")
    archive = _fetch(f"{release}/{asset}", READ_WITHIN_S)
    if hashlib.sha256(archive).hexdigest() != _sum_of(asset, sums):
        raise Unobtainable(f"the SHA-256 of {asset} is not the one that the release states")
    return _unpack(archive, scratch / asset)


def _fetch(url: str, timeout_s: float) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310  # our constant
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        error.close()  # it is the answer, too
        raise Unobtainable(f"{url} cannot be fetched (status {error.code})") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Unobtainable(f"{url} cannot be fetched ({reason})") from error


def _sum_of(asset: str, sums: str) -> str:
    for line in sums.splitlines():
        digest, _, name = line.partition(" ")
        if name.strip().lstrip("*") == asset:
            return digest.lower()
    raise Unobtainable(f"checksums.txt of the release does not name {asset}")


def _unpack(archive: bytes, path: Path) -> Path:
    path.write_bytes(archive)
    server = path.with_name("livekit-server")
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as zipped:
                server.write_bytes(zipped.read("livekit-server.exe"))
        else:
            with tarfile.open(path) as tar:
                tar.extract("livekit-server", path.parent, filter="data")
    except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise Unobtainable(f"{path.name} does not hold livekit-server ({error})") from error
    server.chmod(0o755)
    return server
