"""Logs: one line each, on standard error; for people on a terminal, as JSON elsewhere."""

import logging
import os
import re
import sys
from typing import Literal

import structlog

Format = Literal["text", "json"]

_SECRET = re.compile(r"token|authorization|password|secret|private", re.IGNORECASE)
"""Names of fields whose value is never written, whatever part of the program logged them."""


def set_up(*, level: int, form: Format | None = None) -> None:
    """Configure structlog, and the standard library's logging for packages that use it.

    Args:
        level: of our own lines; those of other packages are shown from warnings on.
        form: None is text on a terminal and JSON elsewhere.
    """
    form = form or ("text" if sys.stderr.isatty() else "json")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
        _hide_secrets,
    ]
    renderer = _renderer(form)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Looked up at each line: standard error may be another one by then.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    _bridge(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_without_record, renderer]))
    if level > logging.DEBUG:
        # gRPC's core writes a line for every failed handshake, past every log; what it knows is in the errors that we tell.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")


class _ToStandardError(logging.Handler):
    """Writes to whatever standard error is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


def _bridge(formatter: logging.Formatter) -> None:
    """Send the lines of the standard library's loggers the same way, once."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _ToStandardError)]:
        root.removeHandler(handler)
    handler = _ToStandardError(logging.WARNING)
    handler.setFormatter(formatter)
    root.addHandler(handler)


def _renderer(form: Format) -> structlog.typing.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _without_record(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return event


def _hide_secrets(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for name in event:
        if _SECRET.search(name):
            event[name] = "(hidden)"
    return event
