"""Tables that break the main one down: by measure, and by prompt order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from headrank.errors import HeadRankError
from headrank.evaluation.significance import bca_interval, paired_permutation
from headrank.report import names
from headrank.report.tables.cells import FREE, Layout, cell_means, systems
from headrank.report.tables.significance import P, notes_of, tested
from headrank.report.tables.table import Cell, Column, Row, Table, emphasise


def measure_table(
    per_query: pd.DataFrame, layout: Layout, *, measures: Sequence[str], order: str
) -> Table:
    """Return every measure of every method in one prompt order, set by set.

    Raises:
        HeadRankError: see ``systems`` and ``cell_means``.
    """
    means = [
        cell_means(per_query, measure, [order]).assign(measure=measure) for measure in measures
    ]
    tidy = pd.concat(means, ignore_index=True)
    values = tidy.set_index(["set", "model", "method", "measure"])["mean"].to_dict()
    counts = tidy.groupby("set", sort=False)["n"].first()
    several = tidy.loc[tidy["model"] != FREE, "model"].nunique() > 1
    columns = [Column("method", "Method"), *([Column("model", "Model")] if several else [])]
    columns += [layout.column(name, name) for name in measures]
    rows: list[Row] = []
    for name in layout.sets:
        part = []
        for system in systems(per_query, layout):
            cells = [Cell(system.label)]
            cells += [Cell(layout.name(system.model))] if several else []
            key = (name, system.model, system.method)
            cells += [Cell(values.get((*key, measure))) for measure in measures]
            ranked = system.group != names.CONTROLS
            section = f"{layout.name(name)} (n = {counts[name]})"
            part.append(Row(tuple(cells), section, ranked=ranked))
        rows += emphasise(columns, part)
    notes = (
        f"Prompt order: {layout.name(order)}. Means {layout.queries()}",
        "Bold: best of the set; controls are left out.",
    )
    return Table(f"Measures by method, {order} order", tuple(columns), tuple(rows), notes, tidy)


def order_table(
    per_query: pd.DataFrame,
    layout: Layout,
    *,
    measure: str,
    difference: tuple[str, str] = ("reversed", "shuffled"),
    confidence: float = 0.95,
    seed: int = 0,
) -> Table:
    """Return each method that reads a prompt by its order, set by set.

    Columns: the orders, their mean, and the difference between two of them with its BCa
    interval over queries and the p of a paired permutation test. With the best document next to
    the query (``reversed``) every head repeats the first stage through recency; the difference
    shows how much.

    Raises:
        HeadRankError: an order of the difference was not read, or as ``cell_means``.
    """
    for order in difference:
        if order not in layout.orders:
            raise HeadRankError(
                f"order {order!r} is not among {', '.join(layout.orders)}; read it, or choose "
                "another difference"
            )
    read = per_query[(per_query["measure"] == measure) & (per_query["order"] != FREE)]
    if read.empty:
        raise HeadRankError(f"no method of the per-query table has a prompt order for {measure}")
    methods = [method for method in layout.methods if method in set(read["method"])]
    layout = replace(layout, methods=methods)
    tidy = cell_means(read, measure, layout.orders, confidence, seed)
    values = tidy.set_index(["set", "model", "method", "order"])["mean"].to_dict()
    counts = tidy.groupby("set", sort=False)["n"].first()
    by_query = read.set_index(["set", "model", "method", "order", "query"])["value"].sort_index()
    several = read["model"].nunique() > 1
    first, second = difference
    columns = [Column("method", "Method"), *([Column("model", "Model")] if several else [])]
    columns += [layout.column(order, layout.name(order)) for order in layout.orders]
    columns.append(layout.column("mean", "mean"))
    title = f"{layout.name(first)} − {layout.name(second)}"
    columns += [Column("difference", title, digits=layout.digits, signed=True), P]
    rows: list[Row] = []
    for name in layout.sets:
        part = []
        for system in systems(read, layout):
            key = (name, system.model, system.method)
            known = [values.get((*key, order)) for order in layout.orders]
            cells = [Cell(system.label)]
            cells += [Cell(layout.name(system.model))] if several else []
            cells += [Cell(value) for value in known]
            cells.append(Cell(None if None in known else float(np.mean(known))))
            gap = None
            if values.get((*key, first)) is not None and values.get((*key, second)) is not None:
                gap = by_query.loc[(*key, first)] - by_query.loc[(*key, second)]
            cells += _difference(gap, confidence, seed)
            ranked = system.group != names.CONTROLS
            section = f"{layout.name(name)} (n = {counts[name]})"
            part.append(Row(tuple(cells), section, ranked=ranked))
        rows += emphasise(columns, part)
    notes = (
        f"{measure}. Brackets: {confidence:.0%} BCa interval of the difference over queries; p: of "
        "a paired permutation test of it, uncorrected.",
        "Bold: best of the set; controls are left out.",
        *notes_of(rows, confidence),
    )
    return Table(f"{measure} by prompt order", tuple(columns), tuple(rows), notes, tidy)


def _difference(gap: pd.Series | None, confidence: float, seed: int) -> list[Cell]:
    """Return the mean difference with its interval, and its test."""
    if gap is None:
        return [Cell(), Cell()]
    values = gap.to_numpy(float)
    interval = bca_interval(values, confidence, seed=seed)
    p = paired_permutation(values, np.zeros_like(values), seed=seed)
    return [Cell(float(values.mean()), interval=interval), tested(p, interval, confidence)]


def tabulate_measures(
    per_query: str, *, layout: Mapping, measures: Sequence[str], order: str
) -> Table:
    """Return the table of measures of an evaluation's file; see ``measure_table``."""
    return measure_table(
        pd.read_parquet(per_query), Layout(**layout), measures=measures, order=order
    )


def tabulate_orders(per_query: str, *, layout: Mapping, **options: object) -> Table:
    """Return the table of prompt orders of an evaluation's file; see ``order_table``."""
    return order_table(pd.read_parquet(per_query), Layout(**layout), **options)
