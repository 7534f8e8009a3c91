"""``headrank evaluate``: effectiveness of runs, trec_eval's measures."""

from __future__ import annotations

import argparse
import sys

from headrank.cli.options import whole

_DESCRIPTION = """\
Print the mean of each measure over every judged query; a query that the run lacks counts 0.

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
    parser.add_argument("--per-query", action="store_true", help="one line a query")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print tab-separated values on stdout."""
    from headrank.evaluate import evaluate
    from headrank.trec import Qrels, Run

    qrels = Qrels.load(args.qrels)
    runs = {path: Run.load(path) for path in args.runs}
    if args.only_retrieved:
        held = {query for one in runs.values() for query in one.rankings}
        qrels = qrels.only(query for query in qrels.grades if query in held)
    columns = ["run", "query", "measure", "value"] if args.per_query else None
    print("\t".join(columns or ["run", "measure", "value", "queries"]))
    for path, one in runs.items():
        table = evaluate(one, qrels, args.measures, args.level)
        missing = sum(query not in one.rankings for query in table["query"].unique())
        if missing:
            print(
                f"headrank: {path}: {missing} judged queries are missing, counted as 0",
                file=sys.stderr,
            )
        if args.per_query:
            for row in table.itertuples():
                print(f"{path}\t{row.query}\t{row.measure}\t{row.value:.6f}")
            continue
        for measure, values in table.groupby("measure", sort=False)["value"]:
            print(f"{path}\t{measure}\t{values.mean():.4f}\t{len(values)}")
