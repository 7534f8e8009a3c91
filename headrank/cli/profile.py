"""``headrank profile``: select the heads of a model on labelled queries."""

from __future__ import annotations

import argparse
import os
import sys

from headrank.cli.options import (
    CRITERIA,
    UsageError,
    add_input,
    add_model,
    add_prompt,
    load_options,
    number,
    prepare_torch,
    prompt_options,
    read_files,
    whole,
)
from headrank.io.files import atomic
from headrank.io.targets import check_checkpoint, check_output

_DESCRIPTION = """\
Read every head on labelled queries and select the best ones.

  headrank profile labelled.jsonl --model DIR -o heads.json

--method gives the selection of a published method: headrank (8 heads by graded
discriminability less entropy), core (8, contrastive), qrhead (16, mass on the relevant).
In Python: profile.select("core").
"""
# Written out, so that `headrank --help` imports nothing; a test holds them against the library.
SELECTED = ("headrank", "core", "qrhead")

_STDOUT = "/dev/stdout"


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "profile",
        help="select heads on labelled queries",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_input(parser, labelled=True)
    add_model(parser, "folder of a model, or a hub repository")
    group = parser.add_argument_group("selection")
    group.add_argument(
        "--method",
        choices=SELECTED,
        default="headrank",
        help="noted with the heads: `headrank rerank` then reads them by it (default: headrank)",
    )
    group.add_argument("--criterion", choices=CRITERIA, help="in place of the method's")
    group.add_argument("--count", type=whole(1), metavar="N", help="heads to select")
    group.add_argument(
        "--entropy-weight", type=number, metavar="W", help="weight of the entropy (0: none)"
    )
    parser.add_argument("--checkpoint", metavar="DIR", help="a killed run goes on from here")
    add_prompt(parser)
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", required=True, metavar="FILE", help="heads, as JSON")
    output.add_argument("--table", metavar="FILE", help="every head's values, as CSV")
    return parser


def run(args: argparse.Namespace) -> None:
    """Profile the model and write the selected heads."""
    from headrank.cli.inputs import labels, read_input
    from headrank.options.selection import selection

    args.output = _STDOUT if args.output == "-" else args.output
    check_output(args.output, read_files(args))
    if args.table is not None:
        args.table = _STDOUT if args.table == "-" else args.table
        check_output(args.table, [*read_files(args), args.output])
        if os.path.realpath(args.table) == os.path.realpath(args.output):
            raise UsageError(f"--table and --output are both {args.table}; give two files")
    if args.checkpoint is not None:
        check_checkpoint(args.checkpoint)
    lists = read_input(args, labelled=True)
    given = {
        "criterion": args.criterion,
        "heads": args.count,
        "entropy_weight": args.entropy_weight,
    }
    changes = {k: v for k, v in given.items() if v is not None}
    chosen = selection(args.method, **changes)
    prompt = prompt_options(args, None)
    from headrank.heads.profile import profiled

    qrels = labels(lists)
    candidates = profiled([one.candidates for one in lists], qrels)
    prepare_torch(args)
    from headrank.heads.profiling import ProfileSettings, profile_checkpoint, profile_lists
    from headrank.models.decoder import load_model
    from headrank.options.prompt import PromptOptions

    model = load_model(args.model, **load_options(args))
    if chosen.heads > model.layers * model.heads:
        raise UsageError(
            f"--count is {chosen.heads}; the model has {model.layers * model.heads} heads "
            f"({model.layers} layers of {model.heads})"
        )
    settings = ProfileSettings(
        prompt or PromptOptions(),
        args.order or "shuffled",
        13 if args.seed is None else args.seed,
        chosen.criterion == "max-logit",
    )
    begun = None
    if args.checkpoint is not None:
        begun = profile_checkpoint(model, candidates, settings, args.checkpoint)
    profile = profile_lists(model, candidates, qrels, settings, begun, not args.quiet)
    heads = profile.select(args.method, **changes)
    if args.table is not None:
        with atomic(args.table) as temporary:
            profile.table().to_csv(temporary, index=False)
    heads.save(args.output)
    if begun is not None:
        begun.remove(others=False)
    print(
        f"{len(heads.heads)} heads on {len(profile.queries)} queries with two grades: "
        + " ".join(f"({layer},{head})" for layer, head in heads.pairs),
        file=sys.stderr,
    )
