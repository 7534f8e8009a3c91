"""The ``headrank`` command."""

from __future__ import annotations

import argparse
import codecs
import errno
import io
import os
import sys
from collections.abc import Sequence

from headrank import __version__
from headrank.cli import (
    align,
    bm25,
    encode,
    evaluate,
    fetch,
    info,
    profile,
    push,
    rerank,
    serve,
    verify,
)
from headrank.cli.options import UsageError
from headrank.errors import HeadRankError, visible

_STREAM_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
_BYTES = "headrank.bytes"  # name of an error handler
COMMANDS = (rerank, serve, profile, align, encode, bm25, evaluate, fetch, push, info, verify)

_DESCRIPTION = """\
Rerank passages by the attention of a few heads of a language model.

  headrank fetch smollm2                            a small model for a first try
  headrank profile labelled.jsonl --model M -o heads.json
  headrank rerank lists.jsonl --model M --heads heads.json > ranked.jsonl
"""


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser; building it imports neither torch nor numpy."""
    top = argparse.ArgumentParser(
        prog="headrank",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit codes: 0 done, 1 an input or a setting cannot be used, 2 wrong arguments.",
    )
    top.add_argument("--version", action="version", version=f"headrank {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        own = command.add_parser(commands)
        own.add_argument("--debug", action="store_true", help="show the traceback of an error")
        own.add_argument("--quiet", action="store_true", help="no progress on stderr")
        own.set_defaults(run=command.run, parser=own)
    return top


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; one that the command does not have ends it with the command's usage."""
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        from headrank.settings.words import hint

        own = options.parser
        known = [name for action in own._actions for name in action.option_strings]
        slips = [one.partition("=")[0] for one in unknown if one.startswith("-")]
        meant = next((told for told in (hint(slip, known) for slip in slips) if told), "")
        own.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 1 error (wrong arguments exit with 2)."""
    if sys.stderr is None:
        # The shell closed it: print() would write notes to standard output, among the results.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")
    utf8_output()
    options = parsed(arguments)
    try:
        options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (`| head`): not an error worth words.
        _give_up_stdout()
        return 1
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except HeadRankError as error:
        if options.debug:
            raise
        _say(str(error))
        return 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        if options.debug:
            raise
        if error.filename is None and error.errno in _STREAM_FAULTS:
            # Errors of files tell their names; this is of the stream that the shell opened.
            _give_up_stdout()
            _say(f"standard output: cannot be written ({error.strerror})")
        elif error.filename is not None:
            _say(f"{error.filename}: cannot be read or written ({error.strerror})")
        else:
            _say_unexpected(error)
        return 1
    except Exception as error:
        if options.debug:
            raise
        _say_unexpected(error)
        return 1
    return 0


def utf8_output() -> None:
    """Let standard output take every text, whatever the locale or PYTHONIOENCODING says.

    Files and pipes get UTF-8, as every file that we write. A terminal keeps the encoding that
    it shows, with escapes for what that lacks.
    """
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return  # closed, or a stand-in of whoever calls main()
    kept = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
    codecs.register_error(_BYTES, _as_bytes)
    sys.stdout.reconfigure(encoding=kept, errors=_BYTES)


def _as_bytes(error: UnicodeError) -> tuple[bytes, int]:
    """Return bytes for text that the encoding lacks: a path's own ones, else an escape.

    Python keeps bytes of a path that are no text in the locale as U+DC80 to U+DCFF.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return b"".join(
        bytes([ord(c) - 0xDC00]) if 0xDC80 <= ord(c) <= 0xDCFF else ascii(c)[1:-1].encode()
        for c in error.object[error.start : error.end]
    ), error.end


def _say(text: str) -> None:
    """Print a message on one line, its control characters shown as escapes."""
    print(f"headrank: {visible(' '.join(text.split()))}", file=sys.stderr)


def _say_unexpected(error: Exception) -> None:
    _say(f"unexpected {type(error).__name__}: {error} (--debug shows where)")


def _give_up_stdout() -> None:
    """Send what is still buffered nowhere: the interpreter would fail on it again at its end."""
    if sys.stdout is not None:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
