"""Documents of the block layouts in tokens: each text is cut and encoded once, not once a query."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_CHARACTERS = 4 * 10**6  # most that are remembered of all texts: about 40 MB with their tokens
_ENTRY = 200  # characters that an entry counts for besides: a short text takes as much memory


@dataclass(frozen=True)
class Tokenised:
    """A document as it stands in a prompt of its own.

    Attributes:
        text: what was kept of it.
        ids: marker and separator included.
        span: ``[start, stop)`` of the text among them.
        uncut: tokens that it had before it was cut; None if it was not.
    """

    text: str
    ids: tuple[int, ...]
    span: tuple[int, int]
    uncut: int | None


@dataclass
class Remembered:
    """The last texts that were tokenised; those used longest ago go. Threads may share it."""

    limit: int = _CHARACTERS
    _found: dict[str, Tokenised] = field(default_factory=dict)
    _characters: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tokenised(
        self, texts: Sequence[str], make: Callable[[Sequence[str]], Sequence[Tokenised]]
    ) -> list[Tokenised]:
        """Return each text's tokens.

        Args:
            make: tokenises texts that are not remembered.
        """
        with self._lock:
            found = {text: self._found[text] for text in texts if text in self._found}
        new = list(dict.fromkeys(text for text in texts if text not in found))
        made = dict(zip(new, make(new), strict=True)) if new else {}
        found |= made
        with self._lock:
            for text in dict.fromkeys(texts):
                if self._found.pop(text, None) is None:
                    self._characters += len(text) + _ENTRY
                self._found[text] = found[text]
            while self._characters > self.limit:
                oldest = next(iter(self._found))
                del self._found[oldest]
                self._characters -= len(oldest) + _ENTRY
        return [found[text] for text in texts]
