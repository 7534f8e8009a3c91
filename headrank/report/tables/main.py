"""The main table: every method against sets and prompt orders, with significance marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from headrank.report import names as labels
from headrank.report.tables.cells import FREE, Layout, System, cell_means, group_means, systems
from headrank.report.tables.formatting import success_rates
from headrank.report.tables.significance import few_note, power_notes
from headrank.report.tables.table import Cell, Column, Row, Table, emphasise

BETTER, WORSE = "†", "‡"


@dataclass(frozen=True)
class Comparisons:
    """The tested differences, and the method against which the others are marked.

    Attributes:
        family: columns model, set, order, measure, system, baseline, mean_difference, p_holm.
        baseline: None marks nothing.
        alpha: a difference is significant if its corrected p-value lies below.
    """

    family: pd.DataFrame
    baseline: str | None = None
    alpha: float = 0.05


def main_table(
    per_query: pd.DataFrame,
    compared: Comparisons | None,
    layout: Layout,
    *,
    measure: str,
    confidence: float = 0.95,
    formatting: Mapping[tuple[str, str], float | None] | None = None,
    model: str | None = None,
) -> Table:
    """Return the main table: methods in groups against sets and prompt orders, with averages.

    With one prompt order a column is a set; a method that was not run in it has a dash. The
    best of each column is bold, the best of each model underlined if there are several;
    controls are out of both. A group of sets is one column, the mean of its sets, and has no
    marks, because each of its sets is tested alone. Averages are over columns, each counting
    alike: a group counts as one set.

    Args:
        compared: None where nothing was tested.
        confidence: of the intervals in the tidy numbers.
        formatting: ``{(model, method): share of well-formed answers}`` of the generative
            methods, for a column of its own; methods that read attention write no answer
            and have 1 there by construction.
        model: the table of this model alone, beside the methods that need none. Marks keep
            the correction over all comparisons.

    Raises:
        HeadRankError: see ``systems`` and ``cell_means``.
    """
    if model is not None:
        per_query = per_query[per_query["model"].isin([FREE, model])]
    rows_of = systems(per_query, layout)
    means = group_means(cell_means(per_query, measure, layout.orders, confidence), layout)
    values = means.set_index(["model", "method", "set", "order"])["mean"].to_dict()
    counts = means.groupby("set", sort=False)["n"].first()
    queries = {name: int(counts[name]) for name in layout.sets if name in counts}
    marks = {} if compared is None else _marks(compared, rows_of, measure, model)
    columns = [Column("method", "Method")]
    shown_sets = layout.benchmarks()
    grid = [(name, order) for name in shown_sets for order in layout.orders]
    heads = {
        name: f"{layout.name(name)} ({_size(name, members, counts)})"
        for name, members in shown_sets.items()
    }
    averaged = layout.orders if len(shown_sets) > 1 else ()
    columns += [_column(layout, name, order, heads[name]) for name, order in grid]
    columns += [_column(layout, "average", order, "average") for order in averaged]
    columns += [Column("well_formed", "Well-formed (%)", digits=1)] if formatting else []
    several = len({system.model for system in rows_of} - {FREE}) > 1
    rows = []
    for system in rows_of:
        own = (system.model, system.method)
        cells = [Cell(system.label)]
        for name, order in grid:
            mark = marks.get((*own, name, order), "")
            cells.append(Cell(values.get((*own, name, order)), mark=mark))
        for order in averaged:
            known = [values.get((*own, name, order)) for name in shown_sets]
            cells.append(Cell(None if None in known else float(np.mean(known))))
        if formatting:
            cells.append(_form(system, formatting, layout))
        section = system.group
        if several and system.model != FREE:
            section += f", {layout.name(system.model)}"
        block = "" if system.model == FREE else system.model
        ranked = system.group != labels.CONTROLS
        rows.append(Row(tuple(cells), section, block, ranked))
    said = _notes(layout, measure, several=several, averaged=bool(averaged))
    said += _tests(compared, layout, rows_of, marks, queries)
    said += few_note(queries, layout.names)
    if formatting:
        said.append(
            "Well-formed: share of the generated answers that have the form asked for. Methods "
            "that read attention write no answer and parse none: 100 by construction."
        )
    tidy = means.merge(_tidy_marks(marks), how="left") if marks else means
    by = "method and set" if len(layout.orders) == 1 else "method, set and prompt order"
    return Table(f"{measure} by {by}", tuple(columns), emphasise(columns, rows), tuple(said), tidy)


def _notes(layout: Layout, measure: str, *, several: bool, averaged: bool) -> list[str]:
    """Return what the numbers and their print mean.

    Args:
        several: models, each with a best of its own.
    """
    shown = "a column for each prompt order"
    if len(layout.orders) == 1:
        shown = f"prompt order: {layout.name(layout.orders[0])}"
    said = [f"{measure}, {shown}, mean {layout.queries()}"]
    if averaged:
        said[0] += f" Averages are over sets{', a group counting as one' * bool(layout.groups)}."
    if layout.groups:
        said.append(_group_note(layout))
    said.append("Bold: best of the column" + (", underlined: best of the model" * several))
    said[-1] += "; controls are left out."
    return said


def _tests(
    compared: Comparisons | None,
    layout: Layout,
    rows: Sequence[System],
    marks: Mapping[tuple[str, str, str, str], str],
    queries: Mapping[str, int],
) -> list[str]:
    """Return what was tested, and what the marks say of it."""
    if compared is None:
        return []
    if compared.baseline is None:
        found = int((compared.family["p_holm"] < compared.alpha).sum())
        return [
            f"{found} of {len(compared.family)} declared comparisons differ by a paired "
            f"permutation test, p < {compared.alpha:g} after Holm's correction: see the table of "
            "significance."
        ]
    family = compared.family.assign(n=compared.family["set"].map(queries)).dropna(subset=["n"])
    return [
        _mark_note(rows, marks, compared, layout),
        *power_notes(family, compared.alpha, layout.names),
    ]


def _size(name: str, members: Sequence[str], counts: Mapping[str, int]) -> str:
    """Return how many queries, and of a group how many sets, a column stands for."""
    queries = f"n = {sum(counts[member] for member in members)}"
    return queries if members == (name,) else f"{len(members)} sets, {queries}"


def _group_note(layout: Layout) -> str:
    told = [
        f"{layout.name(group)}: mean of {', '.join(map(layout.name, members))}, each counting alike"
        for group, members in layout.groups.items()
    ]
    return "; ".join(told) + ". Their sets are tested one by one, so such a column has no marks."


def _column(layout: Layout, name: str, order: str, head: str) -> Column:
    """Return the column of one order below its set; of a single order it is the set's."""
    if len(layout.orders) == 1:
        return layout.column(f"{name}.{order}", head)
    return layout.column(f"{name}.{order}", layout.name(order), head)


def _form(
    system: System, formatting: Mapping[tuple[str, str], float | None], layout: Layout
) -> Cell:
    """Return the formatting success in percent; a dash where nothing is asked of a model."""
    if "+" not in system.method and layout.kinds.get(system.method, "attention") == "attention":
        return Cell(100.0)
    share = formatting.get((system.model, system.method))
    return Cell(None if share is None else 100 * share)


def _marks(
    compared: Comparisons, rows: Iterable[System], measure: str, only: str | None = None
) -> dict[tuple[str, str, str, str], str]:
    """Return ``{(model, method, set, order): mark}`` of the compared cells; "" if n.s.

    A comparison counts in either direction. A method without a model can be marked only if
    its comparison is the same for every model.
    """
    family, baseline = compared.family, compared.baseline
    if baseline is None:
        return {}
    known: dict[tuple, set[str]] = {}
    for row in family[family["measure"] == measure].to_dict("records"):
        sign = 1 if row["baseline"] == baseline else -1
        if baseline not in (row["system"], row["baseline"]):
            continue
        if only is not None and row.get("model", FREE) not in (FREE, only):
            continue
        method = row["system"] if sign == 1 else row["baseline"]
        mark = ""
        if row["p_holm"] < compared.alpha:
            mark = BETTER if sign * row["mean_difference"] > 0 else WORSE
        for model in (row.get("model", FREE), FREE):
            known.setdefault((model, method, row["set"], row["order"]), set()).add(mark)
    own = {(system.model, system.method) for system in rows}
    return {
        key: next(iter(marks)) for key, marks in known.items() if key[:2] in own and len(marks) == 1
    }


def _tidy_marks(marks: Mapping[tuple[str, str, str, str], str]) -> pd.DataFrame:
    keys = ["model", "method", "set", "order"]
    return pd.DataFrame([dict(zip(keys, key, strict=True), mark=m) for key, m in marks.items()])


def _mark_note(
    rows: Sequence[System],
    marks: Mapping[tuple[str, str, str, str], str],
    compared: Comparisons,
    layout: Layout,
) -> str:
    name = labels.label(compared.baseline, layout.names)
    note = (
        f"{BETTER} above, {WORSE} below {name} by a paired permutation test, "
        f"p < {compared.alpha:g} after Holm's correction (family of {len(compared.family)})."
    )
    seen = {key[:2] for key in marks}
    if marks and not any(marks.values()):
        note += " No mark: no tested difference is significant."
    tested = [order for order in layout.orders if any(key[3] == order for key in marks)]
    if marks and len(tested) < len(layout.orders):
        note += f" Tested in order {', '.join(map(layout.name, tested))} only."
    others = [s for s in rows if (s.model, s.method) not in seen and s.method != compared.baseline]
    if others:
        left_out = dict.fromkeys(system.label for system in others)
        note += f" Not compared with it: {'; '.join(left_out)}."
    return note


def tabulate_main(
    per_query: str,
    significance: Sequence[str],
    formatting: Sequence[str],
    cut: Sequence[str],
    *,
    layout: Mapping,
    marks: Mapping,
    budget: int | None,
    **options: object,
) -> Table:
    """Return the main table of an evaluation's files; see ``main_table``.

    Args:
        cut: counts of cut documents, a file a model: ``.../MODEL/cut.csv``.
        marks: baseline and alpha of ``Comparisons``.
        budget: tokens of a document in the prompt.
    """
    counts = [pd.read_csv(path) for path in formatting]
    notes = [*options.pop("notes"), *cut_notes(cut, budget, layout["names"])]
    table = main_table(
        pd.read_parquet(per_query),
        Comparisons(pd.read_csv(significance[0]), **marks) if significance else None,
        Layout(**layout),
        formatting=success_rates(pd.concat(counts)) if counts else None,
        **options,
    )
    return replace(table, notes=(*table.notes, *notes))


def cut_notes(paths: Sequence[str], budget: int | None, names: Mapping[str, str]) -> Iterator[str]:
    """Yield for each model how many documents of each set were cut before they were read.

    Args:
        paths: ``.../MODEL/cut.csv``.
    """
    for path in paths:
        rows = [row for row in pd.read_csv(path).itertuples() if row.cut]
        if not rows:
            continue
        told = "; ".join(
            f"{names.get(row.set, row.set)} {row.cut} of {row.documents} "
            f"({100 * row.kept_tokens / row.tokens:.0f} % of their tokens read)"
            for row in rows
        )
        model = Path(path).parent.name
        how = "" if budget is None else f" to {budget} tokens"
        yield f"Documents cut{how} for {names.get(model, model)}: {told}."
