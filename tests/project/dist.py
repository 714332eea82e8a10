"""Check what is built of the package: ``nox -s build`` does it.

Arguments: the sdist, its wheel, the wheel without C, and the first two built again.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

# What setuptools adds.
MADE = {"PKG-INFO", "setup.cfg"}


def main(sdist: Path, wheel: Path, pure: Path, *again: Path) -> None:
    """Check all of them, and say what is wrong."""
    check_sdist(sdist)
    python, abi, platform = wheel.stem.split("-")[-3:]
    assert (python, abi) == ("cp311", "abi3"), wheel
    assert platform != "any", wheel
    assert pure.name.endswith("-py3-none-any.whl"), pure
    assert {"py.typed", "_protocol/_speedups.pyi"} <= contents(pure)
    assert {name for name in contents(wheel) if name not in contents(pure)} <= {
        f"{name}{suffix}"
        for name in ("_protocol/_speedups", "_transport/_fan_out")
        for suffix in (".abi3.so", ".pyd")
    }
    check_links(wheel)
    for one, other in zip((sdist, wheel), again, strict=True):
        assert one.read_bytes() == other.read_bytes(), f"{one} and {other} differ"


def check_sdist(sdist: Path) -> None:
    """Hold the files against those of the repository: no more, and no less."""
    with tarfile.open(sdist) as archive:
        files = {
            member.name.partition("/")[2]
            for member in archive.getmembers()
            if member.isfile()
        }
    packed = {
        name for name in files - MADE if not name.startswith("anyio_websocket.egg-info")
    }
    tracked = git("ls-files")
    assert tracked <= packed, tracked - packed
    untracked = git("ls-files", "--others", "--exclude-standard")
    assert packed <= tracked | untracked, packed - tracked - untracked


def git(*arguments: str) -> set[str]:
    """Return the files that git lists, and that exist."""
    command = ["git", *arguments, "-z"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.split("\0") if Path(name).is_file()}


def contents(wheel: Path) -> set[str]:
    """Return the paths of the files in the package."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name.removeprefix("anyio_websocket/")
            for name in archive.namelist()
            if name.startswith("anyio_websocket/")
        }


def check_links(wheel: Path) -> None:
    """Follow the links of the page on PyPI to the files that they will show."""
    folder = "-".join(wheel.name.split("-")[:2])
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{folder}.dist-info/METADATA").decode()
    metadata = HeaderParser().parsestr(text)
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL", []))
    pages = f"{urls['Documentation']}en/v{metadata['Version']}/"
    files = f"{urls['Source']}/KIND/v{metadata['Version']}/"
    for link in re.findall(r"\]\(([^)]+)\)", str(metadata.get_payload())):
        path = re.sub("/(blob|raw|tree)/", "/KIND/", link).removeprefix(files)
        page = link.removeprefix(pages).partition("#")[0]
        assert (
            Path("docs", page).with_suffix(".rst").is_file()
            or Path(path).exists()
            or not link.startswith((urls["Documentation"], urls["Source"]))
        ), link
        assert link.startswith("https://"), link


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
