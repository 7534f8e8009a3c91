"""``headrank evaluate``: effectiveness of runs, trec_eval's measures."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from headrank.cli.options import add_ties, whole
from headrank.io.extras import need

_DESCRIPTION = """\
Print the mean of each measure over every judged query; a query that the run lacks counts 0.
The numbers are trec_eval's, ties included; --ties file-rank measures the order of the ranks.

  headrank evaluate bm25.run icr.run --qrels qrels.tsv
"""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "evaluate",
        help="measure runs",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="TREC run")
    parser.add_argument("--qrels", required=True, metavar="FILE", help="TREC judgments")
    parser.add_argument(
        "--measures",
        nargs="+",
        default=["nDCG@10", "AP", "RR", "R@20"],
        metavar="NAME",
        help="nDCG@k, AP, RR, P@k, R@k, judged@k (default: nDCG@10 AP RR R@20)",
    )
    parser.add_argument(
        "--level", type=whole(1), default=1, metavar="N", help="lowest relevant grade (default: 1)"
    )
    parser.add_argument(
        "--only-retrieved",
        action="store_true",
        help="leave out judged queries that no run holds (a sample was reranked)",
    )
    add_ties(parser)
    parser.add_argument("--per-query", action="store_true", help="one line a query")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print tab-separated values on stdout."""
    need("evaluation", "`headrank evaluate`", "pytrec_eval")
    from headrank.data.ties import TREC_EVAL
    from headrank.data.trec import Qrels, Run
    from headrank.evaluation.measures import evaluate, missing_queries

    qrels = Qrels.load(args.qrels)
    runs = {path: Run.load(path, args.ties or TREC_EVAL) for path in args.runs}
    if args.only_retrieved:
        held = {query for one in runs.values() for query in one.rankings}
        qrels = qrels.only(query for query in qrels.grades if query in held)
    # All is computed before the first line: a failure leaves nothing on stdout.
    lines, notes = [], []
    for path, one in runs.items():
        table = evaluate(replace(one, name=path), qrels, args.measures, args.level, tell=False)
        if one.contradicted:
            notes.append(one.contradicted.told(path))
        if missing := len(missing_queries(one, qrels)):
            notes.append(f"{path}: {missing} judged queries are missing, counted as 0")
        if args.per_query:
            lines += [
                f"{path}\t{row.query}\t{row.measure}\t{row.value:.6f}" for row in table.itertuples()
            ]
            continue
        for measure, values in table.groupby("measure", sort=False)["value"]:
            lines.append(f"{path}\t{measure}\t{values.mean():.4f}\t{len(values)}")
    for note in notes:
        print(f"headrank: {note}", file=sys.stderr)
    columns = ["run", "query", "measure", "value"] if args.per_query else None
    print("\t".join(columns or ["run", "measure", "value", "queries"]))
    for line in lines:
        print(line)
