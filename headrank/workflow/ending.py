"""What a finished run tells: its main table, the tests' outcome and where the report is."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrank.report import names as labels

FREE = "-"
# More columns than these do not fit a terminal; the files hold them.
MOST = 6


@dataclass(frozen=True)
class Shown:
    """What the report shows, and how it names it.

    Attributes:
        methods, sets: in the order in which they are shown.
        order: the prompt order of the values.
        measure: of the main table.
        alpha: a comparison differs if its corrected p-value lies below.
        names: printed names of methods, sets and models.
    """

    methods: Sequence[str]
    sets: Sequence[str]
    order: str
    measure: str
    alpha: float
    names: Mapping[str, str]


def ending(
    results: str | os.PathLike,
    shown: Shown,
    call: str,
    stored: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Return the lines for the terminal.

    Args:
        results: the folder of a finished run.
        call: makes the report; told if it is not there or older than the results.
        stored: of each model, ``{timed: method}`` of what was timed behind stored documents.
    """
    root = Path(results)
    costs = {model: _rows(root / f"tables/latency/{model}.csv") for model in stored or {}}
    parts = [
        table(_rows(root / "tables/main.csv"), shown),
        tests(_rows(root / "evaluation/significance.csv"), shown),
        *(seconds(rows, stored[model], shown) for model, rows in costs.items()),
        f"Tables: {root}/tables; figures: {root}/figures; {told_report(root, call)}",
    ]
    return "\n\n".join(part for part in parts if part)


def table(rows: Sequence[Mapping[str, str]], shown: Shown) -> str:
    """Return means by method and set, and their mean over sets, as aligned text."""
    names = shown.names
    means = {
        (row["model"], row["method"], row["set"]): float(row["mean"])
        for row in rows
        if row["order"] in (shown.order, FREE) and row["mean"]
    }
    if not means:
        return ""
    counts = {row["set"]: row["n"] for row in rows}
    sets = [name for name in shown.sets if name in counts]
    columns = sets if len(sets) <= MOST else []
    models = list(dict.fromkeys(row["model"] for row in rows if row["model"] != FREE))
    lines = [
        ["", *(f"{names.get(s, s)} (n = {counts[s]})" for s in columns)]
        + ["mean of sets"] * (len(sets) > 1)
    ]
    for model in [FREE, *models]:
        for method in shown.methods:
            values = [means.get((model, method, name)) for name in sets]
            if all(value is None for value in values):
                continue
            label = labels.label(method, names)
            if len(models) > 1 and model != FREE:
                label += f", {names.get(model, model)}"
            known = [value for value in values if value is not None]
            mean = [sum(known) / len(known) if len(known) == len(values) else None]
            cells = (values if columns else []) + mean * (len(sets) > 1)
            lines.append([label, *("-" if v is None else f"{v:.3f}" for v in cells)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    body = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    ]
    title = f"{shown.measure}, order of the prompt: {names.get(shown.order, shown.order)}"
    return "\n".join([title, *body])


def tests(rows: Sequence[Mapping[str, str]], shown: Shown) -> str:
    """Return how many comparisons differ, and which."""
    if not rows:
        return ""
    names, alpha = shown.names, shown.alpha
    found = [row for row in rows if float(row["p_holm"]) < alpha]
    told = (
        f"{len(found)} of {len(rows)} comparisons differ (permutation test, p < {alpha:g} after "
        "Holm's correction)"
    )
    several = len({row["model"] for row in rows}) > 1
    lines = [
        f"  {labels.label(row['system'], names)} less {labels.label(row['baseline'], names)}, "
        f"{names.get(row['set'], row['set'])}, {names.get(row['order'], row['order'])}"
        + (f", {names.get(row['model'], row['model'])}" if several else "")
        + f": {float(row['mean_difference']):+.3f} [{float(row['low']):+.3f}, "
        f"{float(row['high']):+.3f}], p = {float(row['p_holm']):.3g}"
        for row in found
    ]
    most = 2 * MOST
    more = [f"  and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join([told + (":" if lines else ""), *lines[:most], *more])


def seconds(rows: Sequence[Mapping[str, str]], stored: Mapping[str, str], shown: Shown) -> str:
    """Return how long a query takes behind stored documents, and without a store."""
    taken, names = {row["method"]: float(row["seconds"]) for row in rows}, shown.names
    lines = [
        f"  {labels.label(method, names)}: {taken[timed]:.3f} s, {taken[method]:.3f} s without it"
        for timed, method in stored.items()
        if timed in taken and method in taken
    ]
    title = "Seconds that a list takes with a store of its documents:"
    return "\n".join([title, *lines]) if lines else ""


def told_report(root: Path, call: str) -> str:
    """Return where the report is, or how to make it."""
    report, manifest = root / "report.html", root / "manifest.json"
    current = report.is_file() and (
        not manifest.is_file() or report.stat().st_mtime >= manifest.stat().st_mtime
    )
    return f"report: {report}" if current else f"report: `{call}` writes {report}"


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
