"""The one exception a user is meant to read."""


class HeadRankError(Exception):
    """An input, a setting or a file that cannot be used as it is.

    The message says what happened, with which value, where (``file:line`` for
    files) and what to do. The command line prints it alone, without a traceback.
    """
