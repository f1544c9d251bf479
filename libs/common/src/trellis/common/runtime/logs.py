"""JSON log lines on standard output, with an allow-list as the last word on what may be in them."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any, Final

import structlog
from pydantic_core import to_json

from trellis.common.errors import TrellisError
from trellis.common.runtime.clock import utc_now

ALLOWED: Final = frozenset(
    [
        "timestamp",
        "level",
        "event",
        "service",
        "version",
        "account",
        "correlation_id",
        "message_id",
        "message_type",
        "subject",
        "application_id",
        "candidate_id",
        "job_id",
        "stage_id",
        "visit",
        "command_id",
        "action",
        "attempt",
        "state",
        "outcome",
        "reason",
        "remedy",
        "duration_ms",
        "count",
        "queue",
        "step",
        "connection",
        "vendor",
        "route",
        "status",
        "error",
        "exception",
        "until",
        "workflow",
        "rule",
        "port",
        "name",
        "path",
        "signal",
        "due_at",
        "assessment_id",
        "request_id",
        "endpoint_id",
        "kind",
        "schema",
        "pending",
        "seconds",
        "sealed_body_id",
        "class",
    ]
)
"""Keys that may appear; any other is dropped and its name is listed under `dropped`."""


def configure(service: str, version: str, level: str) -> None:
    """Set up structlog for the process; third-party loggers go through the same filter, warnings and up."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _Stamp(service, version),
            _safe_exception,
            _allow_list,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(logging.WARNING)
    for noisy in ("aio_pika", "aiormq"):  # their warnings carry connection URLs
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


class _Stamp:
    def __init__(self, service: str, version: str) -> None:
        self._fields = {"service": service, "version": version}

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["timestamp"] = utc_now().isoformat().replace("+00:00", "Z")
        event.update(self._fields)
        return event


def _safe_exception(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace exc_info by class, our own message and the places; a library's message may hold data."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()[1]
    if not isinstance(info, BaseException):
        return event
    frames = traceback.extract_tb(info.__traceback__)[-12:]
    event["exception"] = {
        "class": type(info).__name__,
        "message": str(info) if isinstance(info, TrellisError) else "",
        "at": [f"{frame.filename.rsplit('/src/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames],
    }
    return event


def _allow_list(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if event.keys() <= ALLOWED:
        return event
    dropped = [key for key in event if key not in ALLOWED]
    for key in dropped:
        del event[key]
    event["dropped"] = sorted(dropped)
    return event


def _render(_logger: object, _method: str, event: structlog.typing.EventDict) -> bytes:
    return to_json(event, fallback=repr)


class _Bridge(logging.Handler):
    """Carries other libraries' records: their logger and level, never their text, which may hold data."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"name": record.name, "path": f"{record.module}:{record.lineno}"}
        if record.exc_info and record.exc_info[1]:
            fields["exc_info"] = record.exc_info[1]
        structlog.get_logger().log(record.levelno, "library.warning", **fields)
