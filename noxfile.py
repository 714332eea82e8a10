"""Every check of the project; plain ``nox`` runs them all, ``nox -l`` lists them."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
# A Python that this machine lacks is skipped, and nox says so: nobody should need four
# interpreters to run the tests, and none is downloaded behind anybody's back. nox would
# make it an error where CI is set.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.sessions = [
    "lint",
    "typing",
    "docs",
    "package",
    "tests",
    "alone",
    "oldest",
    "interop",
    "autobahn-quick",
    "coverage",
]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)  # read from the classifiers

# The tests shall see the package as it is installed. Without the first, Python puts the
# checkout in front of it; the second has a test look where the package came from.
INSTALLED = {"PYTHONSAFEPATH": "1", "ANYIO_WEBSOCKET_INSTALLED": "1"}


# Other libraries, browsers and proxies have a session of their own.
OTHERS = "--ignore=tests/interop"


def _install(session: nox.Session, *groups: str, extra: str = "[trio]") -> None:
    session.install(f".{extra}", *nox.project.dependency_groups(PYPROJECT, *groups))


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting and spelling."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")


@nox.session
def typing(session: nox.Session) -> None:
    """Types, by two checkers; every public name has to be typed completely."""
    _install(session, "typing")
    session.run("mypy", "anyio_websocket", "tests", "examples", "bench")
    session.run("pyright", "anyio_websocket", "tests/test_typing.py")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "anyio_websocket")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation builds, and every reference in it leads somewhere."""
    _install(session, "docs")
    session.run("sphinx-build", "-n", "-W", "-T", "docs", "docs/_build/html")


@nox.session
def package(session: nox.Session) -> None:
    """The sdist has all that a wheel is made of, and the wheel works by itself."""
    session.install("build")
    out = session.create_tmp()
    abi3 = "--config-setting=--build-option=--py-limited-api=cp311"
    session.run("python", "-m", "build", abi3, "--outdir", out)
    (wheel,) = Path(out).glob("*.whl")
    session.install("--force-reinstall", str(wheel))
    session.run(
        *("python", "-c", "import anyio_websocket as a; print(a.__version__)"),
        env=INSTALLED,
    )
    if shutil.which("cc") is not None:
        session.run(
            *("python", "-c", "import anyio_websocket._protocol._speedups"),
            env=INSTALLED,
        )
    wheel.unlink()


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests on every event loop, against the installed package.

    What is optional is left out on one Python, and there on all the others: a faster
    zlib, and the loops in C.
    """
    is_plain = session.python == PYTHONS[0]
    extra = "[trio]" if is_plain else "[trio,fast]"
    _install(session, "test", "uvloop", "parity", extra=extra)
    data = f".coverage.{session.python}"
    for old in Path().glob(f"{data}.*"):  # what a run left that was broken off
        old.unlink()
    session.run(
        *("coverage", "run", "-m", "pytest", OTHERS, *session.posargs),
        env={
            **INSTALLED,
            "COVERAGE_FILE": data,
            "ANYIO_WEBSOCKET_PURE": str(int(is_plain)),
        },
    )


@nox.session
def alone(session: nox.Session) -> None:
    """The tests where trio is not installed: nothing may need it on asyncio."""
    _install(session, "test", "uvloop", extra="")
    session.run(
        *("python", "-c", "import importlib.util as u; assert not u.find_spec('trio')")
    )
    session.run("pytest", OTHERS, *session.posargs, env=INSTALLED)


@nox.session(python=PYTHONS[0], venv_backend="uv")
def oldest(session: nox.Session) -> None:
    """The tests with the lowest versions that pyproject.toml allows."""
    session.install(
        *(".[trio,fast]", "--group=test", "--group=uvloop", "--group=parity"),
        "--resolution=lowest-direct",
    )
    session.run("pytest", OTHERS, *session.posargs, env=INSTALLED)


@nox.session
def interop(session: nox.Session) -> None:
    """Other libraries and browsers on the far end, directly and through proxies.

    What is not installed is skipped by name: npm's ws needs Node.js, Chromium needs
    chromium and chromedriver, Firefox needs firefox or firefox-esr; the proxies are
    nginx, apache2, haproxy and caddy.
    """
    _install(session, "test", "bench")
    if shutil.which("npm") is not None:
        with session.chdir("tests/interop/node"):
            session.run("npm", "ci", "--no-audit", "--no-fund", external=True)
    session.run("pytest", "tests/interop", *session.posargs, env=INSTALLED)


@nox.session
def bench(session: nox.Session) -> None:
    """What a message costs, beside other libraries; writes bench/report.md and plots.

    It takes 25 minutes, and a machine that does nothing else. Arguments: see
    `python bench/run.py --help`. Two minutes are enough for a few sections and
    libraries; their report is printed: `--only Echo --library anyio_websocket --library
    picows.websockets --rounds 3 --seconds 0.2`.
    """
    _install(session, "bench")
    session.run("python", "bench/run.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz all that reads a peer's bytes, guided by coverage; writes a report.

    The argument is for how many seconds, 60 if there is none.
    """
    _install(session, "fuzz", "test")
    # As a module of the checkout, for the targets use the tests' support.
    session.run("python", "-m", "tests.fuzz.run", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Servers among a thousand clients, some hostile; writes a report and a plot.

    Arguments: for how many seconds, 60 if not given; the event loops of the servers,
    asyncio and trio if not given; `--clients trio` for clients on trio.
    """
    _install(session, "bench", "test")
    session.run("python", "-m", "tests.soak.run", *session.posargs)


@nox.session
def churn(session: nox.Session) -> None:
    """Clients that come and go, 100 000 of them, and 10 000 that stay; a report.

    Arguments: how many come and go; the event loops, all three if not given; `--idle`
    and how many stay.
    """
    _install(session, "bench", "test")
    session.run("python", "-m", "tests.soak.churn", *session.posargs)


@nox.session(name="autobahn-quick")
def autobahn_quick(session: nox.Session) -> None:
    """The Autobahn|Testsuite but for compression: two minutes instead of twenty."""
    _autobahn(session, "quick")


@nox.session
def autobahn(session: nox.Session) -> None:
    """The Autobahn|Testsuite against client and server, on asyncio and on trio.

    It is a program for Python 2.7, and is skipped where there is none. Arguments:
    quick, most (the default) or full; a role; a backend.
    """
    _autobahn(session, *session.posargs)


def _autobahn(session: nox.Session, *arguments: str) -> None:
    _install(session)
    # Both sessions share an installation of the suite.
    folder = Path(session.cache_dir, "autobahn")
    session.run(
        *("python", "tests/autobahn/suite.py", str(folder), *arguments), env=INSTALLED
    )


@nox.session
def coverage(session: nox.Session) -> None:
    """Merge what `tests` measured; every line and every branch has to be in it."""
    session.install("coverage[toml]")
    session.run("coverage", "combine")
    session.run("coverage", "report")
