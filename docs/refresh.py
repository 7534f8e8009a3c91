"""Bring the demo's numbers and pictures into the documents.

    python docs/refresh.py results   # after `make demo`

Copies the demo's files to docs/data and docs/img, and writes the tables between the marks
``<!--demo:NAME-->`` and ``<!--end-->`` anew. Sentences around the tables are yours to read
again: a test tells which of their numbers no longer stand in the files.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
DATA = {
    "main.csv": "tables/main.csv",
    "latency.csv": "tables/latency/smollm2.csv",
    "significance.csv": "evaluation/significance.csv",
}
PICTURES = ("head_scores", "ndcg_by_heads", "order_robustness")
DOCUMENTS = ("README.md", "docs/results.md", "docs/speed.md")
SETS = {"insuranceqa-test": "InsuranceQA", "semanlink-test": "Semanlink", "lee": "Lee"}
METHODS = {
    "random": "Random",
    "all-raw": "All heads, raw",
    "icr": "ICR",
    "qrhead": "QRHead",
    "core": "CoRe",
    "headrank-untuned": "HeadRank, untuned",
    "headrank-any-layer": "HeadRank, untuned, any layer",
    "headrank": "HeadRank, aligned",
    "headrank-block-untuned": "HeadRank, blocks, untuned",
    "headrank-block-untuned.stored": "HeadRank, blocks, untuned, documents stored",
    "headrank-block": "HeadRank, blocks, aligned",
    "headrank-block.stored": "HeadRank, blocks, aligned, documents stored",
    "headrank-untuned+bm25": "HeadRank, untuned + BM25",
    "headrank+bm25": "HeadRank, aligned + BM25",
    "bm25": "BM25",
    "minilm": "MiniLM",
    "minilm.stored": "MiniLM, vectors stored",
    "listwise": "Listwise generation",
    "pointwise": "Pointwise yes/no",
}
SIX = ("bm25", "minilm", "icr", "core", "headrank-untuned", "headrank")
TIMED = tuple(name for name in METHODS if name != "random" and "+" not in name)
_MARKED = re.compile(r"(<!--demo:(\w+)-->\n).*?(<!--end-->)", re.S)


def load(name: str) -> pd.DataFrame:
    """Return one of the demo's files, in the shuffled order if it has several."""
    table = pd.read_csv(ROOT / "docs/data" / name)
    return table[table["order"] == "shuffled"] if "order" in table else table


def rows(head: list[str], body: list[list[str]], *, left: int = 1) -> str:
    """Return a table of Markdown; the first ``left`` columns are texts, the others numbers."""
    rule = ["---" if place < left else "---:" for place in range(len(head))]
    return "".join(f"|{'|'.join(cells)}|\n" for cells in [head, rule, *body])


def costs(method: str) -> list[str]:
    """Return CPU seconds of a list and decoder layers that are computed; empty where none."""
    table = load("latency.csv").set_index("method")
    if method not in table.index:
        return ["", ""]
    row = table.loc[method]
    return [f"{row['seconds']:.2f}", "" if pd.isna(row["layers"]) else f"{row['layers']:.0f}"]


def methods(names: tuple[str, ...]) -> str:
    """Return nDCG@10 by set, with costs."""
    table = load("main.csv").set_index(["method", "set"])
    counts = {name: table.xs(name, level="set")["n"].iloc[0] for name in SETS}
    head = ["method", *(f"{SETS[name]} (n = {n})" for name, n in counts.items())]
    body = [
        [METHODS[m], *(f"{table.loc[(m, s), 'mean']:.3f}" for s in SETS), *costs(m)] for m in names
    ]
    return rows([*head, "CPU s", "layers"], body)


def signed(value: float) -> str:
    """Return a number with its sign, as the tables of the report print it."""
    return f"{value:+.3f}".replace("-", "−")


def disagrees(row: pd.Series) -> bool:
    """Return whether interval and test of a comparison say different things."""
    return (row["low"] > 0 or row["high"] < 0) != (row["p"] < 0.05)


def comparisons() -> str:
    """Return the declared comparisons with intervals and tests."""
    table = load("significance.csv")
    body = []
    for _, row in table.iterrows():
        interval = f"[{signed(row['low'])}, {signed(row['high'])}]"
        p = f"{row['p']:.4f}" + r"\*" * disagrees(row)
        names = [SETS[row["set"]], METHODS[row["system"]], METHODS[row["baseline"]]]
        difference = f"{signed(row['mean_difference'])} {interval}"
        body.append([*names, str(row["n"]), difference, p, f"{row['p_holm']:.4f}"])
    head = ["set", "method", "against", "n", "difference", "p", "p (Holm)"]
    count = sum(disagrees(row) for _, row in table.iterrows())
    note = f"\n\\* Interval and test disagree in {count} of {len(table)} rows. Believe p.\n"
    return rows(head, body, left=3) + note


BLOCKS = {
    "six": lambda: methods(SIX),
    "methods": lambda: methods(tuple(name for name in METHODS if name in set(known()))),
    "comparisons": comparisons,
    "costs": lambda: rows(
        ["method", "CPU s", "layers"],
        [[METHODS[name], *costs(name)] for name in TIMED if any(costs(name))],
    ),
}


def known() -> list[str]:
    """Return the methods that the demo evaluates."""
    return list(load("main.csv")["method"])


def rendered(text: str) -> str:
    """Return a document with its marked tables written from docs/data."""
    return _MARKED.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[3], text)


def main(results: Path) -> None:
    """Copy files and pictures of a finished demo, and write the tables."""
    for name, source in DATA.items():
        shutil.copyfile(results / source, ROOT / "docs/data" / name)
    for name in PICTURES:
        source = results / f"figures/smollm2/{name}.png"
        shutil.copyfile(source, ROOT / f"docs/img/{name}.png")
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(rendered(path.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
