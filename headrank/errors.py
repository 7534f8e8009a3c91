"""The one exception a user is meant to read, and how it is shown."""

from __future__ import annotations


class HeadRankError(Exception):
    """An input, a setting or a file that cannot be used as it is.

    The message says what happened, with which value, where (``file:line`` for
    files) and what to do. The command line prints it alone, without a traceback.
    """

    def named(self, where: str) -> HeadRankError:
        """Return the same error behind the name of what it is about, ``query 7: ``."""
        return type(self)(where + str(self))


class Unfit(HeadRankError):
    """A list that a model cannot read as it is.

    Attributes:
        request: the message to somebody who can change the list alone, such as a server's client;
            the error's own text is for who also sets how it is read.
    """

    def __init__(self, message: str, request: str | None = None) -> None:
        super().__init__(message)
        self.request = message if request is None else request

    def named(self, where: str) -> Unfit:
        """Return the same error, named; a client is told what it was told before."""
        return type(self)(where + str(self), self.request)


class HostFault(HeadRankError):
    """A fault of the weights, the machine or its files.

    Attributes:
        fault: the message, without ``where``: it quotes nothing of a list, so a server may log it.
            Its client does not get it.
    """

    def __init__(self, fault: str, where: str = "") -> None:
        super().__init__(where + fault)
        self.fault = fault

    def named(self, where: str) -> HostFault:
        """Return the same error, named; a log is told what it was told before."""
        return type(self)(self.fault, where)


def visible(text: str, keep: str = "") -> str:
    """Return text whose control characters are escapes, so that it cannot steer a terminal.

    Args:
        keep: characters left as they are, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def with_article(word: str) -> str:
    """Return a word with its article: an adapter, a store."""
    return f"{'an' if word[:1].lower() in 'aeio' else 'a'} {word}"


def kind_of(value: object) -> str:
    """Return a value's type with its article, as a message names it: an int, a list."""
    return with_article(type(value).__name__)


_SHOWN = 60
"""Most characters of an id or text in a message."""


def brief(value: object) -> str:
    """Return an id or a text of a user's as a message shows it: its beginning, on one line.

    Where no id was given the query's text is one, and may have thousands of words.
    """
    text = value if isinstance(value, str) else repr(value)
    shown = visible(text[: _SHOWN + 1])
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
