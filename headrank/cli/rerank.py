"""``headrank rerank``: lists in, rankings out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from headrank.cli.options import UsageError, add_input, read_files, whole
from headrank.cli.ranker_arguments import add_ranker, check_packages, load
from headrank.errors import HeadRankError, brief
from headrank.io.files import atomic
from headrank.io.targets import check_checkpoint, check_output

if TYPE_CHECKING:
    from headrank.cli.inputs import InputList
    from headrank.io.record_checkpoint import RecordCheckpoint
    from headrank.ranker.ranker import HeadRanker
    from headrank.ranker.ranking import RankedPassage

_CUT = ("tokens", "kept_tokens")
_DESCRIPTION = """\
Rerank the documents of each list by attention.

  headrank rerank lists.jsonl --model DIR --heads heads.json > ranked.jsonl
  headrank rerank --run bm25.run --collection DIR --model DIR --method icr -o icr.run

The whole input is checked before the first list is read. Each line of the output holds
{"query_id", "query", "docs": [{"id", "score"}, ...]}, best first; a TREC run gives a TREC run.
A passage that was cut also has "tokens" and "kept_tokens". Other keys of the input come out as
they went in; one named like ours comes out as "input_...". Scores equal those of the Python
library and, with --document-tokens heads and the same ids, those of the workflow.
"""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "rerank",
        help="rank the documents of each list",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_input(parser, labelled=False)
    group = add_ranker(parser)
    group.add_argument(
        "--batch", type=whole(1), default=1, metavar="N", help="prompts read side by side"
    )
    group.add_argument(
        "--checkpoint",
        metavar="DIR",
        help="a killed run goes on from here; not with --store, and lists are read one by one",
    )
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", default="-", metavar="FILE", help="default: stdout")
    output.add_argument("--format", choices=("jsonl", "trec"), help="default: as the input")
    output.add_argument("--top", type=whole(1), metavar="N", help="keep the best N of each list")
    output.add_argument("--name", metavar="TAG", help="tag of a TREC run (default: the method)")
    return parser


def run(args: argparse.Namespace) -> None:
    """Rerank the input's lists and write them."""
    from headrank.cli.inputs import read_input

    if args.name is not None and any(c.isspace() for c in args.name):
        raise UsageError(f"--name is {args.name!r}; a TREC tag holds no white space")
    if args.checkpoint is not None and args.batch > 1:
        raise UsageError(
            f"--checkpoint goes with --batch 1, and not {args.batch}: in other company a list may "
            "round otherwise"
        )
    if args.checkpoint is not None and args.store is not None:
        raise UsageError("--checkpoint and --store: a store keeps the documents; leave out one")
    if args.checkpoint is not None:
        check_checkpoint(args.checkpoint)
    check_packages(args)
    form = args.format or ("jsonl" if args.run_file is None else "trec")
    check_output(args.output, read_files(args))
    lists = read_input(args, labelled=False)
    if form == "trec":
        check_trec(lists)
        if unread := sorted(set().union(*(one.unread for one in lists)), key=str):
            print(f"headrank: a TREC run has no place for {', '.join(unread)}", file=sys.stderr)
    ranker = load(args)
    if note := check(ranker, lists):
        print(f"headrank: {note} (--document-tokens sets the budget)", file=sys.stderr)
    name = args.name or ranker.options.method
    with ExitStack() as stack:
        if args.output == "-":
            file = sys.stdout
        else:
            target = stack.enter_context(atomic(args.output))
            file = stack.enter_context(open(target, "w", encoding="utf-8"))
        begun = checkpoint_of(ranker, lists, args.checkpoint)
        for one, ranking in zip(lists, rankings(ranker, lists, args, begun), strict=True):
            lines = trec_lines(one, ranking, name) if form == "trec" else [json_line(one, ranking)]
            file.writelines(line + "\n" for line in lines)
            file.flush()
    if begun is not None:
        begun.remove(folder=False)


def check(ranker: HeadRanker, lists: list[InputList]) -> str | None:
    """Return in words how many passages will be cut; refuse a list that cannot be read."""
    from headrank.ranker.ranking import cut_note

    sizes = []
    for one in lists:
        try:
            sizes += ranker.sizes(one.candidates).values()
        except HeadRankError as error:
            raise error.named(f"{one.where}: ") from None
    return cut_note(sizes)


def checkpoint_of(
    ranker: HeadRanker, lists: list[InputList], folder: str | None
) -> RecordCheckpoint | None:
    """Return the checkpoint of these lists in a folder, if one was named."""
    from headrank import __version__
    from headrank.ranker.resumed import ranking_checkpoint

    if folder is None:
        return None
    return ranking_checkpoint(ranker, [one.candidates for one in lists], folder, __version__)


def rankings(
    ranker: HeadRanker,
    lists: list[InputList],
    args: argparse.Namespace,
    begun: RecordCheckpoint | None,
) -> Iterable[list[RankedPassage]]:
    """Yield each list's ranking, cut to the top asked for, with progress on stderr."""
    from headrank.io.progress import follow
    from headrank.ranker.resumed import rerank_resumed

    candidates, label = [one.candidates for one in lists], "reranking"
    if begun is not None:
        found = rerank_resumed(ranker, candidates, begun, None if args.quiet else label)
    else:
        found = ranker.rerank_lists(candidates, batch=args.batch)
        found = follow(found, total=len(lists), desc=label, unit="query", disable=args.quiet)
    for ranking in found:
        yield ranking[: args.top]


def json_line(one: InputList, ranking: list[RankedPassage]) -> str:
    """Return one list's ranking as a line of JSON."""
    docs = [
        passed_through(
            {"id": one.ids[p.doc_id], "score": p.score, **cut_fields(p)},
            one.document_extra.get(p.doc_id, {}),
        )
        for p in ranking
    ]
    ours = {"query_id": one.query_id, "query": one.candidates.query, "docs": docs}
    return json.dumps(
        passed_through(ours, one.extra),
        ensure_ascii=False,
        allow_nan=False,
        default=str,
    )


def passed_through(ours: dict[str, object], extra: Mapping[str, object]) -> dict[str, object]:
    """Return our fields and the input's own; one that bears a name of ours gets ``input_``."""
    names = (*ours, *_CUT)
    return ours | {f"input_{key}" if key in names else key: extra[key] for key in extra}


def cut_fields(passage: RankedPassage) -> dict[str, int]:
    """Return what a line of JSON tells of a passage that was cut; nothing of a whole one."""
    if passage.kept_tokens == passage.tokens:
        return {}
    return dict(zip(_CUT, (passage.tokens, passage.kept_tokens), strict=True))


def trec_lines(one: InputList, ranking: list[RankedPassage], name: str) -> list[str]:
    """Return one list's ranking in TREC's six columns, as ``Run.save`` writes them."""
    query = one.candidates.query_id
    return [f"{query} Q0 {p.doc_id} {p.rank} {p.score!r} {name}" for p in ranking]


def check_trec(lists: list[InputList]) -> None:
    """Refuse ids that cannot stand in a file whose columns white space separates."""
    for one in lists:
        for name in (one.candidates.query_id, *one.candidates.doc_ids):
            if not name or any(c.isspace() for c in name):
                raise HeadRankError(
                    f"{one.where}: id '{brief(name)}' holds white space, which a TREC run cannot; "
                    "use --format jsonl"
                )
            if not name.isprintable():
                raise HeadRankError(
                    f"{one.where}: id '{brief(name)}' holds an invisible character, which a TREC "
                    "run cannot; use --format jsonl"
                )
