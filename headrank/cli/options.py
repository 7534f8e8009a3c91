"""Arguments that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from headrank.errors import HeadRankError
from headrank.io.files import read_json

if TYPE_CHECKING:
    from headrank.options.loading import LoadOptions
    from headrank.options.prompt import PromptOptions

# Written out, so that `headrank --help` imports nothing; a test holds them against the library.
METHODS = ("headrank", "icr", "qrhead", "core")
CRITERIA = ("graded", "contrastive", "contrastive-z", "mass", "max-logit")
DTYPES = ("float32", "bfloat16")
LAYOUTS = ("joint", "block", "block+query", "block-tenth")
QUERY_OFFSET = 256
TIES = ("trec_eval", "file-rank")
BUDGETS = ("fit", "heads")


class UsageError(HeadRankError):
    """Arguments that do not go together; the command ends with exit code 2."""


def whole(least: int):
    """Return an argparse type: a whole number from ``least``."""

    def parse(text: str) -> int:
        value = digits(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is too small; the least is {least}")
        return value

    return parse


def digits(text: str) -> int:
    """Return an argparse value: a whole number as digits 0 to 9; Python also reads 1_0 and ١."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def budget(text: str) -> int | str:
    """Return an argparse value: tokens of a document, or a word for a budget."""
    if text in BUDGETS:
        return text
    try:
        return whole(1)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor {' or '.join(BUDGETS)}") from None


def device(text: str) -> str:
    """Return an argparse value: a device that weights can be loaded to."""
    from headrank.models.safe_loading import check_device_name

    try:
        check_device_name(text)
    except HeadRankError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def size(text: str) -> int:
    """Return an argparse value: bytes, as 500MB or 20GB of a thousand a step."""
    found = re.fullmatch(r"([0-9]{1,15})(B|KB|MB|GB|TB)", text, re.ASCII)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no size, such as 500MB or 20GB")
    return int(found[1]) * 1000 ** ("B", "KB", "MB", "GB", "TB").index(found[2])


def number(text: str) -> float:
    """Return an argparse value: a finite number as it is written; Python also reads nan and 1_0."""
    if not re.fullmatch(r"-?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,2})?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, such as 0.001 or 1e-3")
    return float(text)


def order(text: str) -> str:
    """Return an argparse value: a prompt order."""
    from headrank.data.candidates import check_order

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
        + "\"query_id\" (by default the line's number; the query's text then decides the shuffled "
        'order) and a document\'s "title" are optional; - or nothing is stdin. Or '
        ".csv, .tsv, .parquet with one row a document: query, text"
        + (", grade" if labelled else "")
        + ", ...",
    )
    group.add_argument("--run", dest="run_file", metavar="RUN", help="TREC run, in place of LISTS")
    group.add_argument("--collection", metavar="DIR", help="folder that holds the run's texts")
    group.add_argument(
        "--depth",
        type=digits,
        metavar="N",
        help="documents a query taken from the run (default: 20)",
    )
    add_ties(group)
    if labelled:
        group.add_argument(
            "--qrels", metavar="FILE", help="judgments (default: those of the collection)"
        )


def add_ties(group: argparse._ActionsContainer) -> None:
    """Add the argument that says how documents of one score stand."""
    group.add_argument(
        "--ties",
        choices=TIES,
        help="documents of one score in a run: by docid descending, scores compared as float32, "
        "as trec_eval does whatever the ranks say (default), or as the file ranks them",
    )


def add_model(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the arguments that say which model is read and how."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", required=True, metavar="PATH", help=what)
    group.add_argument("--revision", metavar="COMMIT", help="commit of a hub repository")
    group.add_argument(
        "--device", type=device, default="cpu", help="cpu (default), cuda, cuda:1, ... or auto"
    )
    group.add_argument(
        "--dtype", choices=DTYPES, help="of the weights (default: the heads' own, else float32)"
    )
    group.add_argument(
        "--threads", type=whole(1), metavar="N", help="CPU threads (default: all of the machine)"
    )


def load_options(args: argparse.Namespace) -> LoadOptions:
    """Return what the arguments of `add_model` say of the weights."""
    return {"dtype": args.dtype, "device": args.device, "revision": args.revision}


def add_prompt(parser: argparse.ArgumentParser, fit: bool = False, ordered: bool = True) -> None:
    """Add the arguments that change the prompt.

    Args:
        fit: allow words for the budget.
        ordered: there are lists, which have an order.
    """
    group = parser.add_argument_group("prompt")
    if ordered:
        group.add_argument(
            "--order",
            type=order,
            help="passages in the prompt: shuffled (default), shuffled-2, ..., first-stage (as "
            "given), reversed",
        )
        group.add_argument("--seed", type=whole(0), metavar="N", help="of shuffled (default: 13)")
    if fit:
        group.add_argument(
            "--document-tokens",
            type=budget,
            metavar="N",
            help="cut each document to N tokens; heads: as the heads were selected; fit "
            + ("(default): " if ordered else "(default where the heads have a cut): ")
            + "keep all where the context holds them, else cut alike, never below heads",
        )
    else:
        group.add_argument(
            "--document-tokens", type=whole(1), metavar="N", help="cut each document to N tokens"
        )
    group.add_argument(
        "--overlong",
        choices=("error", "truncate"),
        help="a list longer than the model's context: stop, or cut its documents alike"
        + (" (takes the place of fit)" if fit else " (default: stop)"),
    )
    group.add_argument(
        "--layout",
        choices=LAYOUTS,
        help="joint: all passages in one text; block: each is read apart, so their order changes "
        "nothing and long lists cost less; block+query: apart, each behind the query too; "
        "block-tenth: as block, but the query sees every tenth token of a passage alone "
        "(default: that of the heads; without any joint, with a store block)",
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
        help="JSON with fields of headrank.options.prompt.PromptOptions (others: those the heads "
        "were selected with, without heads the defaults)",
    )


def collection_files(folder: str | None) -> list[Path]:
    """Return the files that are read of a collection's folder."""
    from headrank.collections.beir import beir_qrels
    from headrank.collections.layout import CARD, EXCLUDED, REQUIRED, file_of

    if folder is None:
        return []
    own = [file_of(folder, name) for name in (*REQUIRED, EXCLUDED, CARD)]
    return [*own, *beir_qrels(folder).values()]


def read_files(args: argparse.Namespace) -> list[str | Path | None]:
    """Return every file that a command's arguments name as an input."""
    names = ("lists", "run_file", "qrels", "heads", "prompt")
    given = [getattr(args, name, None) for name in names]
    return [*given, *collection_files(args.collection)]


def prompt_changes(args: argparse.Namespace) -> dict:
    """Return the prompt's fields that the arguments change; the budget's word is left out.

    Raises:
        HeadRankError: the prompt file is not a JSON object of known fields.
    """
    from headrank.options.prompt import PromptOptions

    changes = {}
    if args.prompt is not None:
        changes = read_json(args.prompt)
        if not isinstance(changes, dict):
            raise HeadRankError(f"{args.prompt}: expected a JSON object of settings of the prompt")
        try:
            PromptOptions().changed(**changes)
        except HeadRankError as error:
            raise HeadRankError(f"{args.prompt}: {error}") from None
    for name in ("document_tokens", "overlong", "layout", "query_offset"):
        value = getattr(args, name)
        if value is not None and value not in BUDGETS:
            changes[name] = value
    return changes


def stored_prompt(changes: dict, store: str | None) -> dict:
    """Return the prompt's changes where a store is given: its layout, unless another is named."""
    return changes if store is None else {"layout": "block", **changes}


def prompt_options(args: argparse.Namespace, base: PromptOptions | None) -> PromptOptions | None:
    """Return the prompt's options under the arguments; None if nothing was asked for.

    Raises:
        HeadRankError: as `prompt_changes`.
    """
    from headrank.options.prompt import PromptOptions

    changes = prompt_changes(args)
    return (base or PromptOptions()).changed(**changes) if changes else base


def check_path(model: str) -> None:
    """Refuse a model's path that leads nowhere before torch is imported, which takes seconds."""
    from headrank.models.safe_loading import is_here

    is_here(model, "model or saved ranker", ("config.json", "ranker.json"))


def prepare_torch(args: argparse.Namespace) -> None:
    """Set the number of threads and keep libraries from writing to the terminal."""
    check_path(args.model)
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
