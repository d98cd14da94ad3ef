"""Sessions for who prefers nox to make; each installs what it needs with the pinned versions."""

import nox

nox.options.sessions = ["lint", "types", "tests", "slim"]


def _install(session: nox.Session) -> None:
    session.install("-c", "constraints.txt", "-e", ".[all,test]")


@nox.session
def lint(session: nox.Session) -> None:
    _install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    _install(session)
    session.run("mypy", "src")


@nox.session
def tests(session: nox.Session) -> None:
    _install(session)
    session.run("pytest", *session.posargs)


@nox.session
def slim(session: nox.Session) -> None:
    """The wheel with the extra `head` alone and `tail` alone, without torch."""
    session.install("build")
    session.run("python", "tests/slim.py")


@nox.session
def bench(session: nox.Session) -> None:
    _install(session)
    session.run("python", "-m", "benchmarks.server", "--quick")
    for benchmark in ("agent_footprint", "shaper_accuracy"):
        session.run("python", f"benchmarks/{benchmark}.py")
