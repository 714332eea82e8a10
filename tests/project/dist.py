"""Check what is built of the package: nox's ``package`` and ``build`` do it.

Arguments: the sdist and its wheel; and then the wheel without C, and the first two
built again.
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


def main(sdist: Path, wheel: Path, *more: Path) -> None:
    """Check all of them, and say what is wrong."""
    with tarfile.open(sdist) as archive:
        files = [member.name for member in archive.getmembers() if member.isfile()]
    paths = {name.partition("/")[2] for name in files} - MADE
    compare({path for path in paths if ".egg-info/" not in path}, "*")

    assert re.search(r"-cp311-abi3-(?!any)\w+\.whl$", wheel.name), wheel
    compare({path for path in contents(wheel) if not path.endswith((".so", ".pyd"))})
    check_links(wheel)

    if more:
        pure, *again = more
        assert pure.name.endswith("-py3-none-any.whl"), pure
        compare(contents(pure))
        for one, other in zip((sdist, wheel), again, strict=True):
            assert one.read_bytes() == other.read_bytes(), f"{one}, {other} differ"


def contents(wheel: Path) -> set[str]:
    """Return the files of the package."""
    with zipfile.ZipFile(wheel) as archive:
        return {path for path in archive.namelist() if ".dist-info/" not in path}


def compare(packed: set[str], *patterns: str) -> None:
    """Hold the files against those of the repository: no more, and no less.

    The patterns are git's; without any, it is the package without its sources in C.
    """
    package = ("anyio_websocket", "_anyio_websocket_pytest.py", ":!*.[ch]")
    chosen = ("--", *(patterns or package))
    tracked = git("ls-files", "-z", *chosen)
    assert tracked <= packed, tracked - packed
    new = git("ls-files", "-z", "--others", "--exclude-standard", *chosen)
    assert packed <= tracked | new, packed - tracked - new


def git(*arguments: str) -> set[str]:
    """Return the files that git lists, and that exist."""
    command = ["git", *arguments]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.split("\0") if Path(name).is_file()}


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
