"""Rerank passages with the small model that HeadRank fetches.

    headrank fetch smollm2
    python examples/rerank_passages.py

ICR reads all heads and needs no labelled data. With ``--heads`` (a file that `headrank
profile` or the workflow wrote) only those are read, on a model cut behind the deepest.
"""

from __future__ import annotations

import argparse

from headrank import HeadRanker

QUERY = "Does renters insurance cover a stolen bicycle?"
PASSAGES = [
    "A roth IRA is funded with money that was taxed already, so withdrawals in retirement are free "
    "of tax.",
    "Personal property is covered by a renters policy wherever it is: a bike that is stolen from a "
    "rack in town is paid for, less the deductible.",
    "Renters insurance is cheap: most people pay between 15 and 30 dollars a month.",
    "Term life insurance pays the beneficiary if the insured dies within the term.",
    "A bicycle should be locked by its frame; thieves take wheels that are not.",
]


def main() -> None:
    """Print the passages, best first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resources/models/smollm2")
    parser.add_argument("--heads", help="JSON of selected heads; default: all heads, as ICR")
    options = parser.parse_args()
    method = "icr" if options.heads is None else "headrank"
    ranker = HeadRanker.from_pretrained(options.model, options.heads, method=method)
    for passage in ranker.rerank(QUERY, PASSAGES):
        print(f"{passage.rank}. {passage.score:9.4f}  {passage.passage.text}")


if __name__ == "__main__":
    main()
