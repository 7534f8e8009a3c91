"""``headrank align``: train an adapter of the selected heads on labelled queries."""

from __future__ import annotations

import argparse
import sys

from headrank.cli.options import (
    UsageError,
    add_input,
    add_model,
    add_prompt,
    load_options,
    number,
    prepare_torch,
    prompt_options,
    whole,
)
from headrank.io.extras import need

_DESCRIPTION = """\
Train an adapter so that the heads prefer higher grades, and keep the best epoch on
held-out queries.

Documents are cut as the heads were profiled: whole after a plain `headrank profile`. A step
costs as its tokens; --document-tokens 64 trains as the workflow does, at a fraction of the
cost where documents are long. Rankings are not cut by it.

The recipe of the README's results, from a few hundred lists on: --document-tokens 64
--documents 8 --projections all --rank 16 --alpha 32 --learning-rate 4e-4 --batch 4
--epochs 1 (4 with 100 to 499 lists, 8 with fewer).

  headrank align labelled.jsonl --model DIR --heads heads.json -o adapter
  headrank rerank lists.jsonl --model DIR --adapter adapter
"""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "align",
        help="train an adapter on labelled queries",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_input(parser, labelled=True)
    parser.add_argument(
        "--validation", metavar="LISTS", help="held-out JSONL (default: a share of the input)"
    )
    parser.add_argument(
        "--hold-out", type=number, default=0.2, metavar="SHARE", help="that share (default: 0.2)"
    )
    add_model(parser, "folder of a model, or a hub repository")
    group = parser.add_argument_group("training")
    group.add_argument(
        "--heads", required=True, metavar="FILE", help="heads to align, by file or name"
    )
    group.add_argument(
        "--documents",
        type=whole(2),
        default=12,
        metavar="N",
        help="documents a training list (default: 12)",
    )
    group.add_argument(
        "--epochs",
        type=whole(1),
        metavar="N",
        help="most passes over the training lists; the best stays (default: 2)",
    )
    group.add_argument("--batch", type=whole(1), metavar="N", help="lists a step (default: 2)")
    group.add_argument(
        "--learning-rate", type=number, metavar="X", help="AdamW's highest rate (default: 0.001)"
    )
    group.add_argument("--rank", type=whole(1), metavar="N", help="LoRA's rank (default: 8)")
    group.add_argument("--alpha", type=whole(1), metavar="N", help="LoRA's scale (default: 16)")
    group.add_argument(
        "--projections",
        choices=("query-key", "attention", "all"),
        help="what LoRA adapts: all is attention and feed-forward (default: query-key)",
    )
    group.add_argument(
        "--tokens",
        choices=("all", "query"),
        help="which tokens the adapter changes: with query, which needs layout block or "
        "block-tenth, documents are encoded once, and a store of them serves any such adapter "
        "(default: all)",
    )
    group.add_argument(
        "--beta", type=number, metavar="X", help="sharpness of the preference loss (default: 1)"
    )
    group.add_argument(
        "--reference",
        choices=("none", "frozen"),
        help="what the loss compares the model with: frozen, as in DPO (default: none)",
    )
    group.add_argument(
        "--scale",
        choices=("log", "min-max", "max-logit"),
        help="relevance before the loss; rerank follows max-logit (default: log)",
    )
    group.add_argument(
        "--regulariser",
        choices=("graded-kl", "middle-spread", "none"),
        help="what works against homogenisation (default: graded-kl)",
    )
    group.add_argument(
        "--regulariser-weight", type=number, metavar="X", help="its factor (default: 1)"
    )
    group.add_argument(
        "--both-layouts",
        action="store_true",
        default=None,
        help="train each list in a joint prompt and with its documents read apart: one adapter "
        "serves both layouts",
    )
    group.add_argument("--checkpoint", metavar="DIR", help="a killed run goes on from here")
    add_prompt(parser)
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="the adapter's folder")
    return parser


def run(args: argparse.Namespace) -> None:
    """Train and write the adapter."""
    need("align", "`headrank align`")
    from headrank.align.places import Folders
    from headrank.cli.inputs import file_lists, labels, read_input
    from headrank.heads.named import check_published, load_heads

    Folders(args.output, args.checkpoint).check()
    lists = read_input(args, labelled=True)
    held = None if args.validation is None else list(file_lists(args.validation, labelled=True))
    if args.order not in (None, "shuffled"):
        raise UsageError(f"--order is {args.order}; alignment shuffles every list anew")
    heads = load_heads(args.heads)
    prepare_torch(args)
    from headrank.align.lists import Judged
    from headrank.align.options import AlignOptions
    from headrank.fitting import AlignRecipe, align_lists, split
    from headrank.models.decoder import load_model
    from headrank.models.safe_loading import load_config
    from headrank.ranker.origin import Origin

    names = (
        "epochs",
        "batch",
        "learning_rate",
        "rank",
        "alpha",
        "projections",
        "tokens",
        "beta",
        "reference",
        "scale",
        "regulariser",
        "regulariser_weight",
        "both_layouts",
    )
    given = {name: getattr(args, name) for name in names}
    options = AlignOptions(**{k: v for k, v in given.items() if v is not None})
    origin = Origin({}, heads)
    prompt = prompt_options(args, origin.prompt())
    seed = 13 if args.seed is None else args.seed
    recipe = AlignRecipe(
        options=options,
        documents=args.documents,
        prompt=prompt,
        seed=seed,
        checkpoint=args.checkpoint,
    )
    recipe.check(heads)
    training = Judged([one.candidates for one in lists], labels(lists))
    if held is None:
        kept, held_out = split(training.lists, args.hold_out, seed)
        training, validation = Judged(kept, training.qrels), Judged(held_out, training.qrels)
    else:
        validation = Judged([one.candidates for one in held], labels(held))
    if "published" in heads.provenance:
        check_published(heads, args.model, load_config(args.model, args.revision))
    if prompt is None or prompt.document_tokens is None:
        print(
            "training on whole documents; --document-tokens 64, as in the workflow, "
            "costs less where they are long",
            file=sys.stderr,
        )
    model = load_model(args.model, layers=heads.deepest + 1, **origin.loading(load_options(args)))
    table = align_lists(
        model,
        heads,
        training,
        args.output,
        validation=validation,
        recipe=recipe,
        progress=not args.quiet,
    )
    for row in table.to_dict("records"):
        print(
            f"epoch {row['epoch']}: nDCG@10 {row['ndcg@10']:.4f} on {row['queries']} queries",
            file=sys.stderr,
        )
