"""The arguments that describe a ranker, and the ranker that they describe."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from headrank.cli.options import (
    METHODS,
    add_model,
    add_prompt,
    check_path,
    load_options,
    prepare_torch,
    prompt_changes,
    stored_prompt,
    whole,
)
from headrank.io.extras import need

if TYPE_CHECKING:
    from headrank.ranker.ranker import HeadRanker
    from headrank.reading.document_store import DocumentStore


def add_read(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the arguments that decide what is read of a document; return the method's group."""
    add_model(parser, "folder of a saved ranker or of a model, or a hub repository")
    parser.add_argument(
        "--base",
        metavar="PATH",
        help="base model of a saved ranker, if it is not where the ranker's card says",
    )
    group = parser.add_argument_group("method")
    group.add_argument(
        "--method",
        choices=METHODS,
        help="default: the saved ranker's, else the one that the heads were selected for, else "
        "headrank, which an adapter is trained for",
    )
    group.add_argument(
        "--heads",
        metavar="FILE",
        help="JSON that `headrank profile` wrote, or the name of a set that others published "
        "(`headrank info --published`)",
    )
    group.add_argument("--adapter", metavar="DIR", help="folder that `headrank align` wrote")
    group.add_argument(
        "--merge",
        action="store_true",
        help="add the adapter to the weights: a little faster; in bfloat16 it rounds the scores, "
        "so they are not the workflow's",
    )
    return group


def add_ranker(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add all arguments of `load` for lists and their order; return the method's group."""
    group = add_read(parser)
    group.add_argument(
        "--window",
        type=whole(2),
        metavar="N",
        help="read lists of more than N documents in several prompts of at most N",
    )
    group.add_argument(
        "--store",
        metavar="DIR",
        help="take documents that `headrank encode` read from this folder, and add those that it "
        "lacks (layout block)",
    )
    add_prompt(parser, fit=True)
    return group


def load(args: argparse.Namespace) -> HeadRanker:
    """Return the ranker that the arguments of `add_ranker` describe."""
    check_named(args)
    prepare_torch(args)
    given = {"order": args.order, "seed": args.seed, "window": args.window}
    return load_with(args, folder=args.store, store=args.store, **given)


def check_packages(args: argparse.Namespace) -> None:
    """Refuse an adapter where nothing can load one, before anything is read.

    Raises:
        MissingPackage: peft is not installed.
    """
    if args.adapter is not None or (Path(args.model) / "adapter").is_dir():
        need("align", "a ranker with an adapter", "peft")


def check_named(args: argparse.Namespace) -> None:
    """Refuse heads and adapters that cannot be read, before seconds go into importing torch.

    Raises:
        HeadRankError: as `HeadRanker.from_pretrained`.
    """
    from headrank.data.heads import HeadSet
    from headrank.heads.named import heads_missing, load_heads

    check_path(args.model)
    check_packages(args)
    if args.heads is not None:
        load_heads(args.heads)
    elif args.adapter is not None:
        HeadSet.load(Path(args.adapter) / "heads.json")
    elif args.method != "icr" and (Path(args.model) / "config.json").is_file():
        raise heads_missing(args.method or "headrank")


def load_with(
    args: argparse.Namespace, *, folder: str | None, store: str | DocumentStore | None, **given
) -> HeadRanker:
    """Return the ranker of the arguments of `add_read`, a store and what else is given.

    `prepare_torch` comes before it.

    Args:
        folder: the store's folder; with one the layout is block unless another is named.
    """
    from headrank.ranker.ranker import HeadRanker

    ranker = HeadRanker.from_pretrained(
        args.model,
        heads=args.heads,
        adapter=args.adapter,
        model=args.base,
        merge=args.merge,
        store=store,
        method=args.method,
        prompt=stored_prompt(prompt_changes(args), folder) or None,
        document_tokens=args.document_tokens,
        **load_options(args),
        **given,
    )
    ranker.quiet = True  # the commands tell it of all lists at once
    return ranker
