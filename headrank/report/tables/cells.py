"""Rows and cells of the tables over methods, from the per-query table.

Its columns are set, model, adapter, order, method, query, measure, value, with ``-`` where
a method has no model, adapter or prompt order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from headrank.errors import HeadRankError
from headrank.evaluation.significance import bca_interval
from headrank.report import names as labels
from headrank.report.subject import FREE
from headrank.report.tables.table import Column

_CELL = ["set", "model", "adapter", "order", "method"]


@dataclass(frozen=True)
class Layout:
    """What the tables show, and in which order.

    Attributes:
        sets, orders, methods: as they are to appear.
        kinds: ``{method: kind}`` of the config, see :func:`headrank.report.names.group`.
        controls: methods that never count as the best, though not of kind ``random``.
        names: printed names of methods, sets, groups, orders and models; others keep their own.
        groups: ``{group: its sets}``: the main table shows their mean in place of them.
        digits: decimals of a measure.
        rerankable: sets that hold only queries with a relevant and another document among the
            candidates.
    """

    sets: Sequence[str]
    orders: Sequence[str]
    methods: Sequence[str]
    kinds: Mapping[str, str] = field(default_factory=dict)
    controls: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    digits: int = 3
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rerankable: Sequence[str] = ()

    def queries(self) -> str:
        """Return which queries the means are over."""
        said = "over all n judged queries of a set"
        chosen = [self.name(name) for name in self.sets if name in self.rerankable]
        if not chosen:
            return f"{said}."
        which = "a set" if len(chosen) == len(self.sets) else ", ".join(chosen)
        return (
            f"{said}. The queries of {which} are those with a relevant and another document among "
            "the candidates: all levels are higher than over every judged query of the collection."
        )

    def benchmarks(self) -> dict[str, tuple[str, ...]]:
        """Return ``{set or group: the sets it stands for}``, a group where its first set stood."""
        of = {name: group for group, members in self.groups.items() for name in members}
        shown: dict[str, tuple[str, ...]] = {}
        for name in self.sets:
            group = of.get(name, name)
            shown[group] = (*shown.get(group, ()), name)
        return shown

    def name(self, key: str) -> str:
        """Return the printed name of a set, order or model."""
        return self.names.get(key, key)

    def column(self, key: str, title: str, span: str = "") -> Column:
        """Return a column of means of a measure."""
        return Column(key, title, span, self.digits, better="high")


@dataclass(frozen=True)
class System:
    """One row: a method, on a model unless it needs none."""

    method: str
    model: str
    adapter: str
    group: str
    label: str


def average_seeds(per_query: pd.DataFrame, seeds: Mapping[str, str]) -> pd.DataFrame:
    """Return the table with adapters that differ in their seed joined: mean value a query.

    Args:
        seeds: ``{adapter: name of the joined adapter}``; other adapters stay.
    """
    renamed = per_query.assign(adapter=per_query["adapter"].replace(dict(seeds)))
    keys = [*_CELL, "query", "measure"]
    return renamed.groupby(keys, sort=False, observed=True)["value"].mean().reset_index()


def systems(per_query: pd.DataFrame, layout: Layout) -> list[System]:
    """Return the rows group by group; of several models one after another.

    Methods without a model then stand before all that have one.

    Raises:
        HeadRankError: a method was evaluated with several adapters, or not at all.
    """
    absent = set(layout.methods) - set(per_query["method"])
    if absent:
        raise HeadRankError(
            f"the per-query table has no values for {sorted(absent)}; evaluate these methods or "
            "leave them out"
        )
    found = []
    for (model, method), part in per_query.groupby(["model", "method"], sort=False):
        if method not in layout.methods:
            continue
        adapters = list(dict.fromkeys(part["adapter"]))
        if len(adapters) > 1:
            raise HeadRankError(
                f"method {method} on {model} was evaluated with the adapters {adapters}; join "
                "seeds with average_seeds, or give each adapter a method of its own"
            )
        group = labels.group(method, adapters[0], layout.kinds, layout.controls)
        name = labels.label(method, layout.names)
        found.append(System(method, model, adapters[0], group, name))
    models = [model for model in dict.fromkeys(s.model for s in found) if model != FREE]
    places = {FREE: 0} | {m: place for place, m in enumerate(models, 1) if len(models) > 1}
    return sorted(
        found,
        key=lambda s: (
            places.get(s.model, 0),
            labels.GROUPS.index(s.group),
            list(layout.methods).index(s.method),
        ),
    )


def group_means(means: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """Return `cell_means` with one more row a cell for each group of sets.

    Its mean is that of its sets' means, each counting alike, and its n all their queries; a
    group has no interval. A cell that lacks one of the sets gets none.
    """
    rows = [means]
    keys = [name for name in _CELL if name != "set"]
    for group, members in layout.groups.items():
        part = means[means["set"].isin(members)]
        joined = part.groupby(keys, sort=False).agg(
            mean=("mean", "mean"), n=("n", "sum"), sets=("set", "nunique")
        )
        whole = joined[joined["sets"] == len(members)].drop(columns="sets")
        rows.append(whole.reset_index().assign(set=group))
    return pd.concat(rows, ignore_index=True)


def cell_means(
    per_query: pd.DataFrame,
    measure: str,
    orders: Sequence[str],
    confidence: float | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return one row a cell: set, model, adapter, order, method, mean, n.

    Methods without a prompt order stand in each order, with the same value.

    Args:
        confidence: adds ``low`` and ``high``, the BCa interval of the mean over queries.

    Raises:
        HeadRankError: no values of the measure, or systems of one set with different queries.
    """
    table = per_query[per_query["measure"] == measure]
    if table.empty:
        raise HeadRankError(
            f"the per-query table has no measure {measure!r}; it has "
            f"{', '.join(per_query['measure'].unique())}"
        )
    rows = []
    for key, part in table.groupby(_CELL, sort=False, observed=True):
        cell = dict(zip(_CELL, key, strict=True))
        values = part["value"].to_numpy(float)
        cell |= {"mean": float(values.mean()), "n": len(values)}
        if confidence is not None:
            cell["low"], cell["high"] = bca_interval(values, confidence, seed=seed)
        places = orders if cell["order"] == FREE else [cell["order"]]
        rows += [cell | {"order": order} for order in places if order in orders]
    means = pd.DataFrame(rows)
    for name, part in means.groupby("set", sort=False):
        if part["n"].nunique() > 1:
            few, many = (part.loc[part["n"].agg(pick)] for pick in ("idxmin", "idxmax"))
            raise HeadRankError(
                f"set {name}: {few['method']} has {few['n']} queries, {many['method']} "
                f"{many['n']}; evaluate both on the same qrels"
            )
    return means
