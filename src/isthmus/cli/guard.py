"""How commands end: one line for an error, the right exit code, the traceback only with `-v`."""

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import structlog
import typer
from rich.console import Console

from isthmus.errors import IsthmusError, NotBuiltYet

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

INTERRUPTED = 130
NARROWEST = 124
"""Columns of our widest table: what is piped to a file is laid out for it, and not for 80 columns."""


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=max(NARROWEST, console.width))


out = _console(stderr=False)
"""Results."""
err = _console(stderr=True)
"""Progress, warnings and errors, so that results can be piped."""


class _State:
    verbose = False


def set_up(*, verbose: bool, level: int = logging.INFO) -> None:
    """Configure logs: to standard error, for people on a terminal and as JSON elsewhere; `verbose` shows all of them."""
    _State.verbose = verbose
    level = logging.DEBUG if verbose else level
    if not verbose:
        # gRPC's core writes a line for every failed handshake, past every log; what it knows is in the errors that we tell.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=True) if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Looked up at each line: standard error may be another one by then.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def set_up_again() -> Callable[[], None]:
    """`set_up` as it was called here, for another process."""
    return functools.partial(set_up, verbose=_State.verbose)


def only_warnings() -> None:
    """Log warnings and errors only, for commands that show their progress; `-v` still shows all."""
    set_up(verbose=_State.verbose, level=logging.WARNING)


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
    "psutil": "bench",
    "grpc_health": "tail",
    "grpc_reflection": "tail",
    "prometheus_client": "tail",
    "uvicorn": "tail",
    "starlette": "tail",
    "grpc": "head",
    "cv2": "head",
    "onnxruntime": "head",
}


def _missing(name: str) -> str:
    extra = _EXTRAS.get(name.partition(".")[0])
    if extra is None:
        return f"the Python package {name!r} is missing"
    return f"this command needs the package {name.partition('.')[0]!r}: pip install 'isthmus[{extra}]'"
