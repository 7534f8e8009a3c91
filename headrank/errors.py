"""The one exception a user is meant to read, and how it is shown."""


class HeadRankError(Exception):
    """An input, a setting or a file that cannot be used as it is.

    The message says what happened, with which value, where (``file:line`` for
    files) and what to do. The command line prints it alone, without a traceback.
    """


def visible(text: str, keep: str = "") -> str:
    """Return text whose control characters are escapes, so that it cannot steer a terminal.

    Args:
        keep: characters left as they are, such as a line break.
    """
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def with_article(word: str) -> str:
    """Return a word with its article: an adapter, a store."""
    return f"{'an' if word[:1].lower() in 'aeio' else 'a'} {word}"


def kind_of(value: object) -> str:
    """Return a value's type with its article, as a message names it: an int, a list."""
    return with_article(type(value).__name__)
