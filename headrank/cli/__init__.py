"""The ``headrank`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from headrank import __version__
from headrank.cli import align, bm25, evaluate, fetch, info, profile, rerank, verify
from headrank.cli.options import UsageError
from headrank.errors import HeadRankError, visible

COMMANDS = (rerank, profile, align, bm25, evaluate, fetch, info, verify)

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
        own.set_defaults(run=command.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 1 error (wrong arguments exit with 2)."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (`| head`): not an error worth words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("headrank: interrupted", file=sys.stderr)
        return 130
    except HeadRankError as error:
        if options.debug:
            raise
        print(f"headrank: {_one_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except Exception as error:
        if options.debug:
            raise
        print(
            f"headrank: unexpected {type(error).__name__}: {_one_line(error)} "
            "(--debug shows where)",
            file=sys.stderr,
        )
        return 1
    return 0


def _one_line(error: Exception) -> str:
    """Return the message on one line, its control characters shown as escapes."""
    return visible(" ".join(str(error).split()))
