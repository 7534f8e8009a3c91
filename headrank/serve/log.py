"""The server's log: a line of JSON an event, without anything that a user wrote.

A request's line holds counts, seconds and the route it asked for, never its path as sent, its
query, a document, a header or an address. Of an error inside it holds the type and the places in
the code, and the message only where it cannot quote a text.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

from headrank.errors import HostFault

_LOGGER = logging.getLogger("headrank.serve")


class JsonLines(logging.Formatter):
    """Formats our events, and of other libraries' messages the template without its values."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": moment, "level": record.levelname.lower()}
        fields = getattr(record, "fields", None)
        if fields is None:
            line |= {"event": "message", "logger": record.name, "message": str(record.msg)}
        else:
            line |= {"event": record.msg, **fields}
        if record.exc_info and record.exc_info[1] is not None:
            line |= described(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def described(error: BaseException) -> dict[str, Any]:
    """Return an error's type, where it was raised (innermost last), and a message without texts."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    told = {"message": error.fault} if isinstance(error, HostFault) else {}
    return {"error": type(error).__name__, **told, "places": places}


def begin(stream: TextIO | None = None) -> None:
    """Write events, and uvicorn's warnings, to a stream; standard output by default."""
    handler = logging.StreamHandler(sys.stdout if stream is None else stream)
    handler.setFormatter(JsonLines())
    for logger, level in ((_LOGGER, logging.INFO), (logging.getLogger("uvicorn"), logging.WARNING)):
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def event(name: str, *, error: BaseException | None = None, **fields: Any) -> None:
    """Log one event; what is None is left out."""
    kept = {key: value for key, value in fields.items() if value is not None}
    level = logging.INFO if error is None else logging.ERROR
    _LOGGER.log(level, name, exc_info=error, extra={"fields": kept})
