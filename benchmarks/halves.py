r"""What storing readings in 16 bits would change: rankings and scores of every fold.

python -m benchmarks.halves results/readings/*/MODEL/none/shuffled/*.npz \
    --heads results/profiles/MODEL/heads/*.json
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.command import write
from headrank.data.heads import HeadSet
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.heads.fold import fold
from headrank.options.fold import AGGREGATIONS, MAX_LOGIT, Fold
from headrank.reading.readings import ListReading, ReadingFile

Store = Callable[[np.ndarray], np.ndarray]
"""Returns an array as it comes back from 16 bits: ``[..., docs or tokens]``."""


def plain(values: np.ndarray) -> np.ndarray:
    """Return float16 as it is: 11 bits, fewer below 6e-5 and nothing below 6e-8."""
    return values.astype(np.float16).astype(np.float32)


def scaled(values: np.ndarray) -> np.ndarray:
    """Return float16 after a power of two has brought each head's largest value near 2^14."""
    largest = np.abs(values).max(axis=-1, keepdims=True)
    factor = np.exp2(14 - np.floor(np.log2(np.where(largest > 0, largest, 1))))
    return (plain(values * factor) / factor).astype(np.float32)


def logarithm(values: np.ndarray) -> np.ndarray:
    """Return what the exponential of a float16 logarithm gives; masses are above 0."""
    with np.errstate(divide="ignore"):
        logs = np.log(values.astype(np.float64)).astype(np.float16)
    return np.exp(logs.astype(np.float64)).astype(np.float32)


STORES: dict[str, Store] = {
    "float16": plain,
    "float16, scaled": scaled,
    "float16 of log": logarithm,
}


def stored(reading: ListReading, store: Store) -> ListReading:
    """Return a reading whose masses were stored; differences have a sign, so no logarithm."""
    kept = {"query": store(reading.query)}
    if reading.calibration is not None:
        signed = plain if store is logarithm else store
        kept |= {"calibration": store(reading.calibration), "contrast": signed(reading.contrast)}
        if reading.tokens is not None:
            kept["tokens"] = signed(reading.tokens)
    return replace(reading, **kept)


def folds() -> Iterator[Fold]:
    """Yield every fold of masses that the library knows."""
    of_masses = [name for name in AGGREGATIONS if name != MAX_LOGIT]
    for calibrate, outliers, aggregation in product((False, True), (False, True), of_masses):
        try:
            yield Fold(calibrate, outliers, aggregation)
        except HeadRankError:
            continue


def measure(
    readings: Sequence[ListReading], heads: dict[str, HeadSet | None], store: Store
) -> Iterator[dict[str, object]]:
    """Yield, for each head set and fold, how many lists rank otherwise and by how much scores move.

    ``difference`` is the largest of all lists, as a share of the range of the list's scores.
    """
    after = [stored(reading, store) for reading in readings]
    for (name, chosen), options in product(heads.items(), folds()):
        changed, top, worst = 0, 0, 0.0
        for one, other in zip(readings, after, strict=True):
            known, found = (fold(reading, chosen, options) for reading in (one, other))
            orders = [_order(one.doc_ids, scores) for scores in (known, found)]
            changed += orders[0] != orders[1]
            top += orders[0][:10] != orders[1][:10]
            worst = max(worst, float(np.abs(known - found).max() / (np.ptp(known) or 1)))
        yield {
            "heads": name,
            "calibrate": options.calibrate,
            "outliers": options.outliers,
            "aggregation": options.aggregation,
            "lists": len(readings),
            "changed": changed,
            "changed_top10": top,
            "difference": worst,
        }


def _order(documents: Sequence[str], scores: np.ndarray) -> list[str]:
    """Return the documents as a run ranks them."""
    run = Run.from_scores({"q": dict(zip(documents, scores.tolist(), strict=True))})
    return [document for document, _ in run.rankings["q"]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readings", nargs="+", help="with token masses (reading.tokens: all)")
    parser.add_argument("--heads", nargs="*", default=[], help="selected heads, JSON")
    parser.add_argument("--output", help="CSV; default: a table on stdout")
    options = parser.parse_args(arguments)
    lists = [
        reading for path in options.readings for reading in ReadingFile(path).lists(tokens=True)
    ]
    heads = {"all": None} | {Path(path).stem: HeadSet.load(path) for path in options.heads}
    rows = [
        {"storage": name} | row
        for name, store in STORES.items()
        for row in measure(lists, heads, store)
    ]
    write(pd.DataFrame(rows), options.output)


if __name__ == "__main__":
    main()
