"""What pyproject.toml cannot say of a build; all else is there."""

from __future__ import annotations

import gzip
import os
import re
import runpy
import sys
import sysconfig
import tarfile
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
VERSION = runpy.run_path(str(ROOT / "anyio_websocket" / "_version.py"))["__version__"]

# The limited API of CPython 3.11 makes one wheel serve all later versions too. Without
# the GIL there is none, before 3.15 at least, and PyPy is good at the same loops in
# Python: both take the pure wheel, which is made where the variable is set.
HAS_C = (
    sys.implementation.name == "cpython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
    and os.environ.get("ANYIO_WEBSOCKET_PURE", "0") == "0"
)
# Debugging information has the path of the folder in which the compiler ran.
REPRODUCIBLE = ["/Brepro"] if sys.platform == "win32" else ["-g0"]


def extensions() -> list[Extension]:
    """Describe the modules in C. Where there is no compiler, the build goes without.

    Each is beside the module in Python that it replaces: ``_x_c.c``, ``_x_py.py``.
    """
    sources = (ROOT / "anyio_websocket").rglob("*_c.c")
    paths = sorted(path.relative_to(ROOT) for path in sources)
    headers = sorted((ROOT / "anyio_websocket").rglob("*.h"))
    return [
        Extension(
            ".".join(path.with_suffix("").parts),
            [path.as_posix()],
            depends=[path.as_posix() for path in headers],
            extra_compile_args=REPRODUCIBLE,
            extra_link_args=REPRODUCIBLE if sys.platform == "win32" else [],
            optional=True,
            py_limited_api=True,
        )
        for path in paths
    ]


def readme() -> str:
    """Return the README with links that lead somewhere from PyPI too.

    In the repository they are relative, so that they work in every checkout.
    """
    source, docs = PROJECT["urls"]["Source"], PROJECT["urls"]["Documentation"]

    def absolute(match: re.Match[str]) -> str:
        image, text, path = match.groups()
        if page := re.fullmatch(r"docs/(.+)\.rst", path):
            target = f"{docs}en/v{VERSION}/{page[1]}.html"
        else:
            kind = "raw" if image else "tree" if (ROOT / path).is_dir() else "blob"
            target = f"{source}/{kind}/v{VERSION}/{path}"
        return f"{image}[{text}]({target})"

    text = (ROOT / "README.md").read_text("utf-8")
    return re.sub(r"(!?)\[([^]]*)\]\((?!https?://|#)([^)]+)\)", absolute, text)


class ReproducibleSdist(sdist):
    """The sdist is the same, byte for byte, whenever SOURCE_DATE_EPOCH is."""

    def make_archive(  # type: ignore[override]
        self, base_name: str, format: str, base_dir: str, **kwargs: object
    ) -> str:
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch is None or format != "gztar":
            return super().make_archive(base_name, format, base_dir=base_dir, **kwargs)

        def normal(member: tarfile.TarInfo) -> tarfile.TarInfo:
            member.mtime = int(epoch)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            is_program = member.isdir() or member.mode & 0o100
            member.mode = 0o755 if is_program else 0o644
            return member

        name = f"{base_name}.tar.gz"
        self.mkpath(os.path.dirname(name))
        with (
            open(name, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=int(epoch)) as packed,
            tarfile.open(mode="w", fileobj=packed) as archive,
        ):
            archive.add(base_dir, filter=normal)  # it sorts what is in a folder
        return name


setup(
    cmdclass={"sdist": ReproducibleSdist},
    ext_modules=extensions() if HAS_C else [],
    long_description=readme(),
    long_description_content_type="text/markdown",
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if HAS_C else {},
)
