"""Tables of speed: the code's own benchmarks, and what each method costs and yields."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from headrank.errors import HeadRankError
from headrank.evaluation.significance import bca_interval
from headrank.report.names import label
from headrank.report.subject import Subject
from headrank.report.tables.table import Cell, Column, Row, Table, from_frame, plain
from headrank.timing.stopwatch import per_list

SECTIONS = {
    "reading": "CPU seconds against a bare prefill",
    "apart": "Documents read apart, and stored, against a bare prefill of full depth",
    "growth": "Growth with the list: 8 heads against a bare prefill of full depth",
    "training": "A training step of one list: 8 heads, against the same LoRA trained to generate",
    "memory": "Peak memory against a bare prefill",
    "prompting": "Building a prompt",
    "methods": "What a list costs: attention and generation, against 8 heads",
}
"""What each kind of benchmark compares."""

_COLUMNS = (
    Column("case", "Case"),
    Column("dtype", "Weights"),
    Column("documents", "Documents", digits=0),
    Column("passes", "Prompts", digits=0),
    Column("tokens", "Tokens", digits=0),
    Column("seconds", "CPU s", digits=2),
    Column("megabytes", "MB", digits=0),
    Column("ratio", "Ratio", digits=3),
    Column("target", "Target"),
    Column("met", "Met"),
)


def load_benchmarks(parts: Sequence[str | os.PathLike]) -> dict[str, pd.DataFrame]:
    """Return the results by kind, a key of ``SECTIONS``.

    Args:
        parts: CSV files named after their kind, ``KIND.csv`` or ``KIND-DTYPE.csv``.

    Raises:
        HeadRankError: a file of another kind.
    """
    found: dict[str, list[pd.DataFrame]] = {}
    for path in map(Path, parts):
        kind = path.stem.split("-")[0]
        if kind not in SECTIONS:
            raise HeadRankError(f"{path}: no benchmark is called {kind!r}; there are: {SECTIONS}")
        found.setdefault(kind, []).append(pd.read_csv(path))
    return {kind: pd.concat(found[kind], ignore_index=True) for kind in SECTIONS if kind in found}


def benchmark_table(results: Mapping[str, pd.DataFrame]) -> Table:
    """Return one row a measurement, with its target where it has one."""
    rows = []
    for kind, table in results.items():
        for record in table.to_dict("records"):
            values = {key: plain(value) for key, value in record.items()} | dict(
                _named(kind, record)
            )
            interval = None
            if {"ratio", "low", "high"} <= record.keys():
                interval = (record["low"], record["high"])
            cells = [
                Cell(values.get(column.key), interval=interval if column.key == "ratio" else None)
                for column in _COLUMNS
            ]
            rows.append(Row(tuple(cells), section=SECTIONS[kind]))
    notes = (
        "CPU s: user and system time of one process, median of the rounds; systems take turns in "
        "alternating order. Ratio: median of the rounds' ratios [lowest, highest].",
        "Passages of common words, drawn with a fixed seed. 8 heads: the deepest at 60 % of the "
        "depth. Memory: peak resident set of a process of its own, imports included.",
    )
    return Table("Benchmarks of the code", _COLUMNS, tuple(rows), notes)


def _named(kind: str, record: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield what a record's own columns do not say as the table needs it."""
    target = plain(record.get("target"))
    if kind == "growth":
        yield "case", f"{record['documents']} documents"
    elif kind == "methods":
        yield "case", label(str(record["method"]))
        malformed = plain(record["malformed"])
        if malformed:
            told = share(malformed, record["passes"])
            yield "case", f"{label(str(record['method']))} (malformed answers: {told})"
    if target is None:
        yield "target", None
        return
    measured = record["seconds"] if kind == "prompting" else record["ratio"]
    yield "target", f"≤ {target:g} s" if kind == "prompting" else f"≤ {target:g}"
    yield "met", "yes" if measured <= target else "no"


def quality_by_cost(
    costs: pd.DataFrame,
    per_query: pd.DataFrame,
    of: Subject,
    *,
    methods: Sequence[str],
    confidence: float,
    seed: int,
    stored: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return one row a method: what a list costs, and the measure's mean with its interval.

    Columns method, lists, rounds, seconds, low_seconds, high_seconds, passes, tokens,
    malformed, layers, value, low, high. A fusion ``a+b`` costs both parts. Seeds of an adapter are
    averaged query by query. Methods that were timed but not evaluated have no value.

    Args:
        costs: rows of ``headrank.timing.stopwatch.costs`` of every timed method.
        of: what the values are of.
        methods: those to show, in their order; parts that were not timed are left out.
        stored: ``{timed: method}`` of methods that were timed behind stored documents as well;
            their values are the method's own, and they stand behind it.
    """
    stored, shown = dict(stored or {}), []
    for method in methods:
        shown += [method, *(name for name, own in stored.items() if own == method)]
    timed = per_list(costs).rename(columns={"low": "low_seconds", "high": "high_seconds"})
    timed = timed.set_index("method").astype({"layers": float})
    values = of.rows(per_query)
    rows = []
    for method in [*shown, *(m for m in timed.index if m not in shown)]:
        parts = method.split("+")
        if any(part not in timed.index for part in parts):
            continue
        row = {"method": method} | timed.loc[parts[0]].to_dict()
        for part in parts[1:]:
            for column in ("seconds", "low_seconds", "high_seconds", "passes", "tokens"):
                row[column] += timed.loc[part, column]
            # The deepest of the parts; fmax passes over a part without layers.
            row["layers"] = np.fmax(row["layers"], timed.loc[part, "layers"])
        own = (
            values[values["method"] == stored.get(method, method)]
            .groupby("query", sort=False)["value"]
            .mean()
        )
        if len(own):
            low, high = bca_interval(own.to_numpy(float), confidence, seed=seed)
            row |= {"value": float(own.mean()), "low": low, "high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def share(part: float, whole: float) -> str:
    """Return a share with its counts, ``5 % (1 of 20)``."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.3g} % ({part:g} of {whole:g})"


def latency_table(
    points: pd.DataFrame,
    of: Subject,
    *,
    gpu: bool,
    about: str,
    generative: Collection[str] = (),
    stored: Collection[str] = (),
) -> Table:
    """Return the table of ``quality_by_cost``.

    Args:
        generative: methods that write answers; the others have none that could lack a form.
        gpu: seconds are the wall's on a GPU, not of CPU cores.
        stored: those that were timed behind stored documents.
        about: says which lists were timed.
    """
    unit = "GPU s" if gpu else "CPU s"
    answers = ("Malformed answers: those of all lists that have not the form asked for.",)
    told = (
        "Stored: documents were encoded before the query asked, and cost nothing more then; "
        "values are those of the method itself.",
    )
    wrote = points["method"].isin(generative).any()
    columns = (
        Column("label", "Method"),
        Column("passes", "Prompts", digits=0),
        Column("tokens", "Tokens", digits=0),
        Column("layers", "Layers", digits=0),
        Column("seconds", unit, digits=3, better="low"),
        *([Column("malformed", "Malformed answers")] if wrote else ()),
        Column("value", of.measure, digits=3, better="high", interval=("low", "high")),
    )
    frame = points.assign(
        label=[label(method, of.names) for method in points["method"]],
        malformed=[
            share(row.malformed * row.lists, row.passes * row.lists)
            if row.method in generative
            else None
            for row in points.itertuples()
        ],
    )
    if "value" not in frame:
        frame = frame.assign(value=float("nan"), low=float("nan"), high=float("nan"))
    return from_frame(
        f"Cost of a list and {of.measure}",
        frame,
        columns,
        notes=(
            f"{about} Means over lists; seconds are the median of the rounds, of user and system "
            "time of all threads."
            if not gpu
            else f"{about} Means over lists; seconds are the median of the rounds.",
            "Prompts: prefills of a list. A fusion costs both parts.",
            *(answers if wrote else ()),
            "Layers: decoder layers that are computed, up to the deepest selected head. A method "
            "whose selection may not use deep layers is faster for that alone.",
            *(told if set(stored) & {*points["method"]} else ()),
        ),
        tidy=points,
    )


def tabulate_benchmarks(parts: Sequence[str]) -> Table:
    """Return the table of a model's benchmarks of their files."""
    return benchmark_table(load_benchmarks(parts))


def tabulate_latency(
    costs: Sequence[str],
    per_query: str,
    *,
    of: Mapping,
    quality: Mapping,
    timed: Mapping[str, int],
    generative: Sequence[str],
) -> Table:
    """Return the table of what a list costs and yields, of files.

    Args:
        of: fields of a ``Subject``.
        quality: the options of ``quality_by_cost``.
        timed: numbers of ``lists`` and ``rounds``, and of most ``candidates`` a list.
    """
    about = Subject(**of)
    measured = pd.concat([pd.read_csv(path) for path in costs])
    points = quality_by_cost(measured, pd.read_parquet(per_query), about, **quality)
    # The first stage is always the CPU's.
    gpu = "cuda" in set(measured["device"])
    return latency_table(
        points.assign(gpu=gpu),
        about,
        gpu=gpu,
        about=f"Lists of {about.set_name}: {timed['lists']}, with up to {timed['candidates']} "
        f"candidates; rounds: {timed['rounds']}.",
        generative=generative,
        stored=quality.get("stored", ()),
    )
