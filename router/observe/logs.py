"""Structured logs, one JSON object a line, with an allow-list of keys: a value that has no business here is dropped.

Exceptions are logged by class, code, place and stack *without* source lines' values: a traceback may quote a
local value, so only file, line and function survive.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import MutableMapping
from typing import Any, Final, TextIO, cast

from router.errors import RouterError
from router.language import translated
from router.printable import printable

#: Keys that may stand in a log line. Their values come from bounded sets, counts, times and opaque ids.
KEYS: Final = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "role",
        "slot",
        "pid",
        "feed",
        "pipeline",
        "sink",
        "stage",
        "step",
        "topic",
        "partition",
        "origin",
        "group",
        "member",
        "delivery",
        "event_id",
        "code",
        "place",
        "text",
        "rule",
        "count",
        "bytes",
        "seconds",
        "port",
        "host",
        "file",
        "name",
        "state",
        "attempt",
        "disposition",
        "kind",
        "ack",
        "digest",
        "error",
        "stack",
        "problem",
        "reason",
        "version",
        "next",
        "age",
        "alert",
        "signal",
        "command",
        "source",
        "peer",
        "worker",
        "exit",
        "why",
        "hook",
    }
)

#: Attributes every `LogRecord` has, which share a name with one of our keys.
_RECORD_KEYS: Final = frozenset({"name"})


def _only_known_keys(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in line.items() if key in KEYS}


def _printable(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A line of the log is one line, and a terminal that shows it obeys none of its values."""
    return {key: _shown(value) for key, value in line.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    return [_shown(one) for one in value] if isinstance(value, list | tuple) else value


def _english(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The log is for developers and programs: one language, whatever the operator reads on the screens."""
    if isinstance(text := line.get("text"), str):
        line["text"] = translated(text, "en")
    return line


def _safe_exception(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    info = line.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info if isinstance(info, BaseException) else None
    if error is not None:
        line["error"] = type(error).__name__
        if isinstance(error, RouterError):
            line.update(code=error.code, place=error.place, text=error.text)
        elif isinstance(error, ImportError):
            line["name"] = error.name
        elif isinstance(error, OSError):
            line["reason"] = error.strerror
        frames = traceback.extract_tb(error.__traceback__)
        line["stack"] = [f"{frame.filename.rpartition('/router/')[2]}:{frame.lineno}:{frame.name}" for frame in frames]
    return line


class _StandardError:
    """Whatever the standard error is at the time of writing: a program that embeds us may replace it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(*, role: str = "", slot: int = 0, level: str = "INFO", pretty: bool = False) -> None:
    """Set up logging of this process on its standard error. Foreign libraries speak from WARNING on, by class only."""
    import structlog

    structlog.contextvars.clear_contextvars()
    if role:
        structlog.contextvars.bind_contextvars(role=role, slot=slot)
    renderer = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _safe_exception,
            _only_known_keys,
            _english,
            _printable,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Foreign()], level=logging.WARNING, force=True)
    logging.getLogger("router").setLevel(level)


def hush() -> None:
    """For a process of ours: what Python itself would print of an exception or a warning goes through the log."""
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _uncaught(_kind: type[BaseException], error: BaseException, _trace: object) -> None:
    """What Python would print with the exception's own words, which may quote a message."""
    import structlog

    if not isinstance(error, KeyboardInterrupt):
        structlog.get_logger().error("uncaught", exc_info=error, alert="uncaught")


def _uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    import structlog

    if found.exc_value is not None and found.exc_type is not SystemExit:
        name = found.thread.name if found.thread is not None else ""
        structlog.get_logger().error("uncaught in a thread", exc_info=found.exc_value, alert="uncaught", name=name)


def _unraisable(found: Any) -> None:
    import structlog

    if found.exc_value is not None:
        structlog.get_logger().error("unraisable", exc_info=found.exc_value, alert="uncaught")


class _Foreign(logging.Handler):
    """The standard library's logging, joined to ours.

    Our own rooms write constant sentences and allow-listed `extra` keys. What other libraries log may quote a
    message: their logger's name and level are kept, their text is not.
    """

    def emit(self, record: logging.LogRecord) -> None:
        import structlog

        log = structlog.get_logger()
        error = record.exc_info[1] if record.exc_info else None
        if record.name.startswith("router"):
            extra = {key: value for key, value in record.__dict__.items() if key in KEYS and key not in _RECORD_KEYS}
            log.log(record.levelno, record.getMessage(), exc_info=error, **extra)
        else:
            log.log(record.levelno, "library", name=record.name, error=type(error).__name__ if error else "")
