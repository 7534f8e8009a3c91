"""Progress that fits where it is read: a bar in a terminal, now and then a line in a file."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TextIO

EVERY = 60.0
"""Seconds between two lines."""

# Where lines are told besides: a job's log is a file, and whoever waits looks at a terminal.
_BESIDES: ContextVar[tuple[TextIO, str] | None] = ContextVar("besides", default=None)


def follow(items: Iterable | None = None, **options: Any) -> Any:
    """Return an iterable or a counter that shows its progress on standard error.

    In a terminal it is a bar of tqdm. Elsewhere it is a plain line at the start, one every
    minute and one at the end: a bar's carriage returns make one line of kilobytes in a file.

    Args:
        items: what is iterated over; None counts by ``update``.
        options: tqdm's own: ``desc``, ``unit``, ``total``, ``initial``, ``disable``.
    """
    if options.get("disable") or sys.stderr.isatty():
        from tqdm import tqdm

        return tqdm(items, **options)
    return Lines(items, **options)


@contextlib.contextmanager
def told_besides(stream: TextIO, name: str) -> Iterator[None]:
    """Let the block's lines of every minute go to another stream, too, each behind a name."""
    token = _BESIDES.set((stream, name))
    try:
        yield
    finally:
        _BESIDES.reset(token)


class Lines:
    """The part of tqdm's interface that we use, told in lines.

    Args:
        items: as in `follow`.
        desc: what is done.
        unit: what is counted.
        total: how many there are; None asks the items, and may stay unknown.
        initial: how many were done before.
        every: seconds between two lines.
    """

    def __init__(
        self,
        items: Iterable | None = None,
        *,
        desc: str = "",
        unit: str = "",
        total: int | None = None,
        initial: int = 0,
        every: float = EVERY,
        **_: Any,
    ) -> None:
        self.items, self.desc, self.unit = items, desc, unit.strip()
        if total is None and hasattr(items, "__len__"):
            total = len(items)
        self.total, self.initial, self.done, self.every = total, initial, initial, every
        self.note, self.closed = "", False
        self.start = self.last = time.monotonic()
        self._write(sys.stderr, f"{self.desc}: {self._count()}")

    @property
    def format_dict(self) -> dict[str, float]:
        """Return what tqdm calls so: the seconds so far."""
        return {"elapsed": time.monotonic() - self.start}

    def __iter__(self) -> Iterator:
        with self:
            for item in self.items if self.items is not None else ():
                yield item
                self.update()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, count: int = 1) -> None:
        """Count some more; a line follows if the last one is old."""
        self.done += count
        now = time.monotonic()
        if now - self.last < self.every:
            return
        self.last = now
        self._write(sys.stderr, self._line())
        if (besides := _BESIDES.get()) is not None:
            stream, name = besides
            self._write(stream, f"[{name}] {self._line()}")

    def set_postfix_str(self, text: str) -> None:
        """Set what stands at the end of each line."""
        self.note = text

    def close(self) -> None:
        """Tell the end, once."""
        if not self.closed:
            self.closed = True
            self._write(sys.stderr, self._line())

    def _count(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        return f"{self.done}{of} {plural(self.unit)}".rstrip()

    def _line(self) -> str:
        seconds = time.monotonic() - self.start
        rate = (self.done - self.initial) / max(seconds, 1e-9)
        parts = [f"{self.desc}: {self._count()}", duration(seconds), f"{rate:.3g} {self.unit}/s"]
        return ", ".join([*parts, self.note] if self.note else parts)

    @staticmethod
    def _write(stream: TextIO, line: str) -> None:
        # A reader that went away ends no job.
        with contextlib.suppress(OSError, ValueError):
            stream.write(f"{line}\n")
            stream.flush()


def plural(unit: str) -> str:
    """Return the plural of a unit's name."""
    if unit.endswith("y"):
        return f"{unit[:-1]}ies"
    return unit if unit.endswith("s") or not unit else f"{unit}{'es' * unit.endswith('ch') or 's'}"


def duration(seconds: float) -> str:
    """Return seconds as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
