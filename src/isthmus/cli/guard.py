"""How commands end: one line for an error, the right exit code, the traceback only with `-v`."""

import functools
import logging
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar

import typer
from rich.console import Console

from isthmus.cli import logs
from isthmus.errors import IsthmusError, NotBuiltYet

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

INTERRUPTED = 130
NARROWEST = 124
"""Columns of our widest table: what is piped to a file is laid out for it, and not for 80 columns."""


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=max(NARROWEST, console.width))


LogFormat = Annotated[logs.Format | None, typer.Option(help="Of the log on standard error; text on a terminal, else json.")]

out = _console(stderr=False)
"""Results."""
err = _console(stderr=True)
"""Progress, warnings and errors, so that results can be piped."""


class _State:
    verbose = False
    form: logs.Format | None = None


def set_up(*, verbose: bool, level: int = logging.INFO, form: logs.Format | None = None) -> None:
    """Configure logs; `verbose` shows all of them, and tracebacks of errors."""
    _State.verbose, _State.form = verbose, form
    logs.set_up(level=logging.DEBUG if verbose else level, form=form)


def set_up_again() -> Callable[[], None]:
    """`set_up` as it was called here, for another process."""
    return functools.partial(set_up, verbose=_State.verbose, form=_State.form)


def log_as(form: logs.Format | None) -> None:
    """Take the form that a command was asked for."""
    set_up(verbose=_State.verbose, form=form)


def only_warnings() -> None:
    """Log warnings and errors only, for commands that show their progress; `-v` still shows all."""
    set_up(verbose=_State.verbose, level=logging.WARNING, form=_State.form)


def guarded(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Turn exceptions of a command into one line and an exit code."""

    @functools.wraps(command)
    def run(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        try:
            return command(*arguments, **options)
        except IsthmusError as error:
            _tell(str(error), error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _tell("interrupted", error)
            raise typer.Exit(INTERRUPTED) from error
        except ModuleNotFoundError as error:
            _tell(_missing(error.name or str(error)), error)
            raise typer.Exit(1) from error
        except BrokenPipeError as error:
            # Whoever read our output has had enough.
            sys.stderr.close()
            raise typer.Exit(0) from error
        except typer.Exit:
            raise
        except Exception as error:
            _tell(f"unexpected {type(error).__name__}: {error}; `isthmus -v ...` shows where, and we would like to know", error)
            raise typer.Exit(1) from error

    return run


def later(what: str, instead: str = "") -> NotBuiltYet:
    """An error for a part of the design that this version does not have."""
    return NotBuiltYet(f"{what} is not built yet" + (f"; {instead}" if instead else ""))


def _tell(line: str, error: BaseException) -> None:
    if _State.verbose:
        err.print_exception()
    err.print(f"isthmus: {' '.join(line.split())}", style="red", markup=False, highlight=False, soft_wrap=True)
    del error


_EXTRAS = {
    "torch": "export",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxscript": "export",
    "transformers": "export",
    "cryptography": "head",
    "jinja2": "bench",
    "sklearn": "bench",
    "tokenizers": "llm",
    "psutil": "bench",
    "grpc_health": "tail",
    "grpc_reflection": "tail",
    "prometheus_client": "tail",
    "uvicorn": "tail",
    "starlette": "tail",
    "opentelemetry": "otel",
    "grpc": "head",
    "cv2": "head",
    "onnxruntime": "head",
}


def _missing(name: str) -> str:
    extra = _EXTRAS.get(name.partition(".")[0])
    if extra is None:
        return f"the Python package {name!r} is missing"
    return f"this command needs the package {name.partition('.')[0]!r}: pip install 'isthmus[{extra}]'"
