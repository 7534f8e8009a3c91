"""Arguments that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from headrank.errors import HeadRankError
from headrank.files import read_json

if TYPE_CHECKING:
    from headrank.prompt import PromptOptions

# Written out, so that `headrank --help` imports nothing; a test holds them against the library.
METHODS = ("headrank", "icr", "qrhead", "core")
CRITERIA = ("graded", "contrastive", "contrastive-z", "mass")
DTYPES = ("float32", "bfloat16")
LAYOUTS = ("joint", "block", "block+query")
QUERY_OFFSET = 256


class UsageError(HeadRankError):
    """Arguments that do not go together; the command ends with exit code 2."""


def whole(least: int):
    """Return an argparse type: a whole number from ``least``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is too small; the least is {least}")
        return value

    return parse


def order(text: str) -> str:
    """Return an argparse value: a prompt order."""
    from headrank.lists import check_order

    try:
        check_order(text)
    except HeadRankError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def add_input(parser: argparse.ArgumentParser, labelled: bool) -> None:
    """Add the arguments that say where lists come from."""
    group = parser.add_argument_group("input")
    grade = ', "grade": 1' if labelled else ""
    group.add_argument(
        "lists",
        nargs="?",
        metavar="LISTS",
        help='JSONL, one {"query": "...", "docs": [{"id": "d1", "text": "..."'
        + grade
        + "}, ...]} a line; "
        + ("" if labelled else "docs may be plain texts; ")
        + '"query_id" and a document\'s "title" are optional; - or nothing is stdin',
    )
    group.add_argument("--run", dest="run_file", metavar="RUN", help="TREC run, in place of LISTS")
    group.add_argument("--collection", metavar="DIR", help="folder that holds the run's texts")
    group.add_argument(
        "--depth", type=int, metavar="N", help="documents a query taken from the run (default: 20)"
    )
    if labelled:
        group.add_argument(
            "--qrels", metavar="FILE", help="judgments (default: those of the collection)"
        )


def add_model(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the arguments that say which model is read and how."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", required=True, metavar="PATH", help=what)
    group.add_argument("--revision", metavar="COMMIT", help="commit of a hub repository")
    group.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ... or auto")
    group.add_argument("--dtype", choices=DTYPES, help="of the weights (default: float32)")
    group.add_argument(
        "--threads", type=whole(1), metavar="N", help="CPU threads (default: all of the machine)"
    )


def add_prompt(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that change the prompt."""
    group = parser.add_argument_group("prompt")
    group.add_argument(
        "--order",
        type=order,
        help="passages in the prompt: shuffled (default), shuffled-2, ..., first-stage (as "
        "given), reversed",
    )
    group.add_argument("--seed", type=whole(0), metavar="N", help="of shuffled (default: 13)")
    group.add_argument(
        "--document-tokens", type=whole(1), metavar="N", help="cut each document to N tokens"
    )
    group.add_argument(
        "--overlong",
        choices=("error", "truncate"),
        help="a list longer than the model's context: stop (default), or cut its documents alike",
    )
    group.add_argument(
        "--layout",
        choices=LAYOUTS,
        help="joint: all passages in one text (default); block: each is read apart, so their order "
        "changes nothing and long lists cost less; block+query: apart, each behind the query too",
    )
    group.add_argument(
        "--query-offset",
        type=whole(1),
        metavar="N",
        help="block layouts: tokens from the shared prefix to the query, which no passage may "
        f"exceed (default: {QUERY_OFFSET})",
    )
    group.add_argument(
        "--prompt",
        metavar="FILE",
        help="JSON with fields of headrank.prompt.PromptOptions (default: those the heads were "
        "selected with)",
    )


def prompt_options(args: argparse.Namespace, base: PromptOptions | None) -> PromptOptions | None:
    """Return the prompt's options under the arguments; None if nothing was asked for.

    Raises:
        HeadRankError: the prompt file is not a JSON object of known fields.
    """
    from dataclasses import fields

    from headrank.prompt import PromptOptions

    changes = {}
    if args.prompt is not None:
        changes = read_json(args.prompt)
        known = [field.name for field in fields(PromptOptions)]
        if not isinstance(changes, dict) or set(changes) - set(known):
            raise HeadRankError(
                f"{args.prompt}: expected a JSON object with fields of {', '.join(known)}"
            )
    for name in ("document_tokens", "overlong", "layout", "query_offset"):
        if getattr(args, name) is not None:
            changes[name] = getattr(args, name)
    if not changes:
        return base
    return PromptOptions(**changes) if base is None else base.changed(**changes)


def prepare_torch(args: argparse.Namespace) -> None:
    """Set the number of threads and keep libraries from writing to the terminal."""
    if (Path(args.model) / "config.json").is_file():
        # A model's folder needs no hub: no look-up, no wait where there is no network.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if not args.debug:
        # Deprecations inside other libraries are nothing that a user of the command can mend.
        warnings.simplefilter("ignore")
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
