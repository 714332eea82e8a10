"""Every check of the project; plain ``nox`` runs them all, ``nox -l`` lists them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
# A Python that this machine lacks is skipped, and nox says so: running the tests should
# not take four interpreters, and none is downloaded unasked. Where CI is set, nox would
# make it an error.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
# Of all files in what is built, so that two builds are the same, byte for byte.
EPOCH = os.environ.get("SOURCE_DATE_EPOCH", str(int(time.time())))

PYPROJECT = nox.project.load_toml("pyproject.toml")
_CLASSIFIED = nox.project.python_versions(PYPROJECT)  # read from the classifiers
PYTHONS = [python for python in _CLASSIFIED if not python.endswith("t")]
FREE_THREADED = [python for python in _CLASSIFIED if python not in PYTHONS]

# What is optional is left out there: the oldest and the newest Python have it.
PLAIN = PYTHONS[1]

# The oldest Python has its tests in `coverage`, all of them.
nox.options.sessions = [
    "lint",
    "typing",
    "docs",
    "package",
    *(f"tests-{python}" for python in PYTHONS[1:]),
    "alone",
    "interop",
    "autobahn-quick",
    "coverage",
]

HAS_COMPILER = shutil.which("cc") is not None

# The tests shall see the package as it is installed. Without the first, Python puts the
# checkout in front of it; the second has a test look where the package came from.
INSTALLED = {"PYTHONSAFEPATH": "1", "ANYIO_WEBSOCKET_INSTALLED": "1"}
# Some machines have Python write no bytecode. Then each worker of pytest rewrites and
# compiles all tests for itself: 5 s of CPU time of a worker's 11 before its first test.
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}

CORES = os.cpu_count() or 1
# A free worker takes over what waits for another one.
PARALLEL = ("--dist", "worksteal")
# Most tests wait now and then, for real clocks, processes and sockets: with only one
# worker more than there are processors, these were idle for half of the time.
MANY = ("-n", str(CORES + 3))
MOST = (*MANY, "-m", "not sweep and not measured")
# The sweeps never wait, and nothing should disturb what is measured.
REST = ("-n", str(CORES), "-m", "sweep or measured")
FOUND_NOTHING = 5  # of pytest's exit codes

# Other libraries, browsers and proxies have a session of their own.
OTHERS = "--ignore=tests/interop"

# The sweeps, of faults and of cancellations, take half of the time of a run. The newest
# Python plays them in full, every other one a quarter of them: tests/support/sweeps.py.
THIN = {"ANYIO_WEBSOCKET_SWEEP": "4"}
# Of the modules in C, those in Python are used.
PURE = {"ANYIO_WEBSOCKET_PURE": "1"}


@cache
def _found(python: str) -> bool:
    """Say whether there is such an interpreter: pyenv has names with nothing behind."""
    program = shutil.which(f"python{python}")
    if program is None:
        return False
    return subprocess.run([program, "-c", ""], capture_output=True).returncode == 0


def _newest() -> str:
    return next((python for python in reversed(PYTHONS) if _found(python)), PYTHONS[-1])


def _dist(
    session: nox.Session, source: str | Path, name: str, *only: str, **env: str
) -> list[Path]:
    """Build the sdist from the source, and the wheel from that; return both.

    With ``--wheel``, build the wheel from the source and return it alone.
    """
    folder = Path(session.cache_dir, name).resolve()
    python = str(Path(session.bin, "python"))
    if session.venv_backend == "uv":
        # The newest, so that the oldest has to run what later headers compile.
        python = shutil.which(f"python{_newest()}") or python
        command = ["uv", "build", "-q", "--python", python, "--out-dir"]
    else:
        session.install("build")
        command = [python, "-m", "build", "--outdir"]
    env |= {"SOURCE_DATE_EPOCH": EPOCH}
    session.run_install(
        *command, str(folder), *only, str(source), external=True, env=env
    )
    # With `nox -R` nothing is built, and the last one is what is installed.
    kinds = ("whl",) if only else ("tar.gz", "whl")
    return [max(folder.glob(f"*.{kind}"), key=os.path.getmtime) for kind in kinds]


def _wheel(session: nox.Session) -> str:
    """Build the package, once for all sessions; return the path of its wheel.

    The limited API makes one wheel serve every CPython from 3.11 on.
    """
    if not _built:
        _built.extend(_dist(session, ".", "dist"))
    return str(_built[1])


_built: list[Path] = []


def _install(session: nox.Session, *groups: str, extra: str = "[trio]") -> None:
    session.install(
        f"{_wheel(session)}{extra}", *nox.project.dependency_groups(PYPROJECT, *groups)
    )


def _pytest(session: nox.Session, *arguments: str, env: dict[str, str]) -> None:
    # What was asked for, with -k for example, may all be in another run of the session.
    allowed = [0, FOUND_NOTHING] if session.posargs else [0]
    session.run(
        *("pytest", *PARALLEL, *arguments, *session.posargs),
        env=INSTALLED | COMPILED | env,
        success_codes=allowed,
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting and spelling, and what a public host runs."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")
    session.run("zizmor", "--offline", "--quiet", ".github")


@nox.session
def typing(session: nox.Session) -> None:
    """Types, by two checkers; every public name has to be typed completely."""
    _install(session, "typing")
    ours = ("anyio_websocket", "_anyio_websocket_pytest.py")
    session.run("mypy", *ours, "tests", "examples", "bench")
    session.run("pyright", *ours, "tests/test_typing.py")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "anyio_websocket")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation builds, every reference leads somewhere, and searches do."""
    _install(session, "docs", extra="[trio,socks]")  # autodoc imports every module
    # Both builders take what one of them has read.
    build = ("sphinx-build", "-n", "-W", "-T", "-d", "docs/_build/doctrees")
    session.run(*build, "-E", "docs", "docs/_build/html")  # the search is built as well
    session.run("python", "docs/check_search.py", "docs/_build/html")
    session.run(*build, "-q", "-b", "doctest", "docs", "docs/_build/doctest")


@nox.session
def linkcheck(session: nox.Session) -> None:
    """Every link of the documentation leads somewhere; it needs the network.

    Names of other projects are looked up in their documentation.
    """
    _install(session, "docs", extra="[trio,socks]")
    build = ("sphinx-build", "-n", "-W", "--keep-going", "-b", "linkcheck")
    online = {"ANYIO_WEBSOCKET_DOCS_ONLINE": "1"}
    session.run(*build, "docs", "docs/_build/linkcheck", env=online)


@nox.session
def package(session: nox.Session) -> None:
    """The sdist has all that the repository has, and the wheel works by itself."""
    wheel = _wheel(session)
    session.run("python", "tests/project/dist.py", str(_built[0]), wheel)
    _use(session, wheel, has_c=HAS_COMPILER)


@nox.session
def build(session: nox.Session) -> None:
    """What is given away: the same, and also without C, without a compiler, and again.

    Built again from the sdist, in another folder, they have to be the same bytes.
    """
    wheel, sdist = _wheel(session), _built[0]
    temporary = Path(session.create_tmp())
    unpacked = temporary / sdist.name.removesuffix(".tar.gz")
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.unpack_archive(sdist, temporary, filter="data")
    again = _dist(session, unpacked, "again")
    (pure,) = _dist(session, unpacked, "pure", "--wheel", ANYIO_WEBSOCKET_PURE="1")
    (slow,) = _dist(session, unpacked, "without-compiler", "--wheel", CC="false")
    dist = [str(sdist), wheel, str(pure)]
    session.run("python", "tests/project/dist.py", *dist, *map(str, again))

    _use(session, str(slow), has_c=False)
    _use(session, str(pure), has_c=False)
    _use(session, wheel, has_c=HAS_COMPILER)

    session.install(*nox.project.dependency_groups(PYPROJECT, "build"))
    session.run("twine", "check", "--strict", *dist)
    session.run("check-wheel-contents", *dist[1:])
    session.run("abi3audit", "--strict", wheel)
    for path in dist:
        session.log(f"{hashlib.sha256(Path(path).read_bytes()).hexdigest()}  {path}")


@nox.session(python=[*PYTHONS, *FREE_THREADED])
def installed(session: nox.Session) -> None:
    """The wheel works where nothing but trio is installed beside it.

    An interpreter without the GIL takes the one without C.
    """
    if session.python in PYTHONS:
        _use(session, _wheel(session), has_c=HAS_COMPILER)
    else:
        (pure,) = _dist(session, ".", "pure", "--wheel", ANYIO_WEBSOCKET_PURE="1")
        _use(session, str(pure), has_c=False)


def _use(session: nox.Session, wheel: str, *, has_c: bool) -> None:
    session.install("--force-reinstall", f"{wheel}[trio]")
    for path in Path("anyio_websocket").rglob("*_c.c"):
        name = ".".join(path.with_suffix("").parts)
        find = f"importlib.util.find_spec('{name}')"
        check = f"import importlib.util; assert bool({find}) is {has_c}"
        session.run("python", "-c", check, env=INSTALLED)
    session.run("python", "examples/echo.py", env=INSTALLED)  # on asyncio and on trio
    session.run("anyio-websocket", "--version", env=INSTALLED)


@nox.session(reuse_venv=True)
def quick(session: nox.Session) -> None:
    """What to run while working: most tests on one Python, in a minute.

    On asyncio and trio, without sweeps and without what measures memory or time. It
    tests the checkout, so the second run has nothing to install.
    """
    groups = nox.project.dependency_groups(PYPROJECT, "test", "uvloop", "parity")
    session.install("-e", ".[trio]", *groups)
    session.run(
        *("pytest", *PARALLEL, *MOST, OTHERS, "--loops", "asyncio,trio"),
        *session.posargs,
        env=COMPILED,
    )


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests on every event loop, against the installed package.

    One Python does without what is optional: the modules in C, and a faster zlib. What
    measures memory or time is left out between the oldest Python and the newest, and
    uvloop between that one and the newest. The oldest one is not part of a plain `nox`:
    all tests run there in `coverage`.
    """
    is_plain = session.python == PLAIN
    _install(
        session,
        *("test", "uvloop", "parity"),
        extra="[trio]" if is_plain else "[trio,fast]",
    )
    sweeps = _sweeps(session)
    if session.python in (PYTHONS[0], _newest()):
        _pytest(session, OTHERS, *MOST, env={})
        _pytest(session, OTHERS, *REST, env=sweeps)
    else:
        chosen = (*MANY, "-m", "not measured")
        if is_plain:
            _pytest(session, OTHERS, *chosen, env=sweeps | PURE)
        else:
            _pytest(session, OTHERS, *chosen, "--loops", "asyncio,trio", env=sweeps)


def _sweeps(session: nox.Session) -> dict[str, str]:
    return {} if session.python == _newest() else THIN


@nox.session
def alone(session: nox.Session) -> None:
    """The tests where trio is not installed: nothing may need it on asyncio.

    Neither uvloop, nor the tests of the protocol, nor what runs the same lines over and
    over have a part in that. The modules in C are left out, too.
    """
    _install(session, "test", extra="")
    session.run(
        *("python", "-c", "import importlib.util as u; assert not u.find_spec('trio')")
    )
    pure = ("--ignore=tests/protocol", "--ignore=tests/fuzz")
    chosen = (OTHERS, *pure, "--loops", "asyncio")
    _pytest(session, *chosen, *MOST, env=PURE)


@nox.session
def interop(session: nox.Session) -> None:
    """Other libraries and browsers on the far end, directly and through proxies.

    What is not installed is skipped by name: npm's ws needs Node.js, Chromium needs
    chromium and chromedriver, Firefox needs firefox or firefox-esr; the proxies are
    nginx, apache2, haproxy and caddy, and for clients tinyproxy, squid, microsocks and
    danted; what several processes share is redis-server.
    """
    _install(session, "test", "bench")
    if shutil.which("npm") is not None:
        with session.chdir("tests/interop/node"):
            session.run("npm", "ci", "--no-audit", "--no-fund", external=True)
    _pytest(session, "-n", str(CORES + 2), "tests/interop", env={})


@nox.session
def examples(session: nox.Session) -> None:
    """Every program of examples/ and of the documentation, as its test runs it.

    A plain `nox` runs them among the other tests.
    """
    _install(session, "test", "bench")
    tests = [
        *("project/test_examples.py", "project/test_serving_examples.py"),
        *("project/test_tunnel_example.py", "project/test_docs.py"),
        *("testing/test_examples.py", "integration/test_market_data.py"),
        *("interop/test_asgi.py", "interop/test_devtools.py"),
        "interop/test_scale_out.py",
    ]
    _pytest(session, *MANY, *(f"tests/{path}" for path in tests), env={})


@nox.session
def bench(session: nox.Session) -> None:
    """What a message costs, beside other libraries; writes a report, tables and plots.

    Those are bench/report.md, the table of the README, and what the documentation
    shows. It takes 20 minutes, and a machine that does nothing else. Arguments: see
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
    # As a module of the checkout, because the targets use the tests' support.
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


@nox.session
def restart(session: nox.Session) -> None:
    """A server that is restarted among 2 000 clients, which shall not notice; a report.

    Arguments: how many clients; the event loops, all three if not given; `--drain` and
    `--spread` and seconds.
    """
    _install(session, "bench", "test")
    session.run("python", "-m", "tests.soak.restart", *session.posargs)


@nox.session(name="scale-out")
def scale_out(session: nox.Session) -> None:
    """A room of 2 000 clients in four processes, of which one is killed; a report.

    It needs redis-server and nginx, and is skipped without them. Arguments: how many
    clients; the event loops, asyncio and trio if not given; `--seconds`.
    """
    _install(session, "bench", "test")
    session.run("python", "-m", "tests.soak.scale_out", *session.posargs)


@nox.session(name="autobahn-quick")
def autobahn_quick(session: nox.Session) -> None:
    """The Autobahn|Testsuite but for compression: a minute instead of twenty."""
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
    # As a module of the checkout, because it uses the tests' support. The package is
    # used by a program of its own alone, which sees the installed one.
    session.run("python", "-m", "tests.autobahn.suite", str(folder), *arguments)


@nox.session(python=PYTHONS[0], venv_backend="uv")
def coverage(session: nox.Session) -> None:
    """All tests on the oldest Python; every line and branch is run by one.

    With the lowest versions allowed by pyproject.toml, of what we depend on. The sweeps
    come afterwards, as they run no line that other tests do not, and what measures
    memory or delays, as it would measure coverage's, too. Those do without the modules
    in C, with which the newest Python plays them.
    """
    session.install(
        _wheel(session),
        # What the wheel asks for does not count as direct, the file's dependencies do.
        *("-r", "pyproject.toml", "--extra=trio", "--extra=fast"),
        *("--group=test", "--group=uvloop", "--group=parity"),
        "--resolution=lowest-direct",
    )
    data = {"COVERAGE_FILE": str(Path(session.cache_dir, "coverage").resolve())}
    measure = ("--cov", "--cov-report=", "--cov-fail-under=0")
    _pytest(session, OTHERS, *MOST, *measure, env=data)
    session.run("coverage", "report", env=data)
    _pytest(session, OTHERS, *REST, env=_sweeps(session) | PURE)
