"""What a run measured of each claim of the paper."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from headrank.errors import HeadRankError
from headrank.evaluation.significance import paired_permutation, resampled
from headrank.report.names import label
from headrank.report.tables.cells import FREE
from headrank.report.tables.table import probability

MEASURE = "nDCG@10"
BENCHMARKS = {
    "msmarco-passage/trec-dl-2019": "TREC DL 2019",
    "msmarco-passage/trec-dl-2020": "TREC DL 2020",
    "beir/trec-covid": "TREC-COVID",
    "beir/nfcorpus": "NFCorpus",
    "beir/webis-touche2020/v2": "Touché 2020",
    "beir/dbpedia-entity": "DBpedia",
    "beir/scifact": "SciFact",
    "beir/scidocs": "SCIDOCS",
    "beir/fiqa": "FiQA",
    "beir/arguana": "ArguAna",
    "beir/nq": "NQ",
    "beir/hotpotqa": "HotpotQA",
    "beir/fever": "FEVER",
    "beir/climate-fever": "Climate-FEVER",
}
"""ir_datasets ids without their split, and names, of the benchmarks the paper probably has."""

_RESAMPLES = 2_000
_CHUNK = 250


@dataclass(frozen=True)
class Setup:
    """What a run consists of, as far as claims ask.

    Attributes:
        method: the aligned method that stands for the paper's.
        rivals: ``{method: "generative" or "decoding-free"}``.
        beside: methods that the claims are not about (a first stage, encoders); what they
            reach on the same sets is told with every standing.
        models: ``{model: its repository on the hub}``; empty for any other source.
        sets: ``{evaluated set: its ir_datasets id}``; empty for other sources and samples.
        report_set: the set of the middle zone.
        order: the prompt order that is judged.
        candidates: length of the lists.
        confidence: of the intervals.
        names: printed names.
        groups: ``{group: its sets}``, which count as one set where no claim of the paper is
            judged.
    """

    method: str
    rivals: Mapping[str, str]
    models: Mapping[str, str]
    sets: Mapping[str, str]
    report_set: str
    order: str
    candidates: int
    confidence: float = 0.95
    names: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    beside: Sequence[str] = ()

    def units(self, sets: Sequence[str]) -> list[list[int]]:
        """Return places in ``sets`` that count as one: those of a group together."""
        of = {name: group for group, members in self.groups.items() for name in members}
        found: dict[str, list[int]] = {}
        for place, name in enumerate(sets):
            found.setdefault(of.get(name, name), []).append(place)
        return list(found.values())

    def name(self, method: str) -> str:
        """Return a method's printed name."""
        return label(method, self.names)

    def benchmarks(self) -> dict[str, str]:
        """Return ``{benchmark: set}`` of the benchmarks that are evaluated whole."""
        ids = {name: re.sub("/(test|judged)$", "", dataset) for name, dataset in self.sets.items()}
        return {key: name for name, key in ids.items() if key in BENCHMARKS}


@dataclass(frozen=True)
class Evidence:
    """Results of the run.

    Attributes:
        per_query: columns set, model, order, method, query, measure, value.
        middle: ``{model: rates}`` of :func:`headrank.evaluation.middle_zone.promotion`, with
            ``system``.
        formatting: ``{(model, method): share of well-formed answers}``.
        training: ``{model: (labelled queries given, those that gave pairs) of each adapter}``.
        layers: ``{model: (layers computed, layers of the model, heads)}``.
    """

    per_query: pd.DataFrame
    middle: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    formatting: Mapping[tuple[str, str], float | None] = field(default_factory=dict)
    training: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    layers: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One number of a run.

    Attributes:
        holds: whether the claim holds by it.
        missing: what the claim needs and the number lacks; such a number judges nothing.
    """

    text: str
    holds: bool = False
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    unit: str = ""
    missing: str = ""


Measure = Callable[[Setup, Evidence, str, Sequence[str]], Measured]


@dataclass(frozen=True)
class Standing:
    """Where our method stands among others on some sets.

    Attributes:
        methods: ours first, then the rivals, then those beside.
        rivals: how many of the methods are rivals.
        values: ``[queries, methods]``, set by set.
        weights: ``[queries]``: what a query counts in the average over sets; sums to 1.
        means: ``[sets, methods]``; the sets of a group are averaged to one.
        samples: ``[resamples, sets, methods]``: queries drawn again within each set, the same
            for all methods.
        missing: what the claim needs and the run lacks.
    """

    methods: tuple[str, ...]
    rivals: int
    values: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    samples: np.ndarray
    missing: str = ""

    def told(self, setup: Setup, numbers: np.ndarray, form: str) -> str:
        """Return the numbers ``[methods]`` of the methods beside, named; empty without any."""
        found = [
            f"{setup.name(self.methods[place])} {numbers[place]:{form}}"
            for place in range(1 + self.rivals, len(self.methods))
        ]
        return f"; outside the claim: {', '.join(found)}" if found else ""


def _standing(
    setup: Setup, evidence: Evidence, model: str, sets: Sequence[str]
) -> Standing | Measured:
    """Return where our method stands, or a number that says why it stands nowhere.

    Raises:
        HeadRankError: systems of one set were evaluated on different queries.
    """
    table = evidence.per_query
    free = table["model"] == FREE
    table = table[
        (table["measure"] == MEASURE)
        & table["set"].isin(sets)
        & ((free & table["method"].isin(setup.beside)) | (table["model"] == model))
        & table["order"].isin([setup.order, FREE])
    ]
    there = set(table["method"])
    rivals = [m for m in setup.rivals if m in there]
    kinds = {setup.rivals[m] for m in rivals}
    absent = [kind for kind in ("generative", "decoding-free") if kind not in kinds]
    missing = f"no {' and no '.join(absent)} baseline is evaluated" if absent else ""
    if setup.method not in there or not kinds:
        return Measured("", missing=missing or f"{setup.method} is not evaluated")
    methods = (setup.method, *rivals, *(m for m in setup.beside if m in there))
    parts, means, samples = [], [], []
    rng = np.random.default_rng(0)
    for name in sets:
        part = table[table["set"] == name]
        values = part.pivot(index="query", columns="method", values="value")
        values = values.reindex(columns=list(methods))
        if values.isna().any(axis=None):
            raise HeadRankError(
                f"set {name}: methods were evaluated on different queries; evaluate all anew"
            )
        numbers, n = values.to_numpy(float), len(values)
        parts.append(numbers)
        means.append(numbers.mean(axis=0))
        samples.append(resampled(numbers, _RESAMPLES, rng, _CHUNK) / n)
    units = setup.units(sets)
    share = {place: 1 / len(units) / len(unit) for unit in units for place in unit}
    return Standing(
        methods,
        len(rivals),
        np.concatenate(parts),
        np.concatenate([np.full(len(p), share[i] / len(p)) for i, p in enumerate(parts)]),
        np.array([np.mean([means[place] for place in unit], axis=0) for unit in units]),
        np.stack([np.mean([samples[place] for place in unit], axis=0) for unit in units], axis=1),
        missing,
    )


def _interval(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    tail = 50 * (1 - confidence)
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)


def highest_average(setup: Setup, evidence: Evidence, model: str, sets: Sequence[str]) -> Measured:
    """Return by how much our mean over the sets exceeds the best rival's; n counts queries.

    p is that of the paired permutation test: within each query the two methods may change
    places, and a query counts what it counts in the average.
    """
    found = _standing(setup, evidence, model, sets)
    if isinstance(found, Measured):
        return found
    averages = found.means.mean(axis=0)
    best = 1 + int(averages[1 : 1 + found.rivals].argmax())
    gap = float(averages[0] - averages[best])
    joined = found.samples.mean(axis=1)
    low, high = _interval(joined[:, 0] - joined[:, best], setup.confidence)
    weighted = found.values * found.weights[:, None]
    p = paired_permutation(weighted[:, 0], weighted[:, best])
    ours, rival = setup.name(setup.method), setup.name(found.methods[best])
    text = f"{ours} {averages[0]:.3f}, best of {found.rivals} baselines: {rival} "
    text += f"{averages[best]:.3f}, difference {gap:+.3f}, {probability(p)}"
    text += found.told(setup, averages, ".3f")
    queries = len(found.values)
    return Measured(text, gap > 0, gap, low, high, queries, MEASURE, found.missing)


def wins(setup: Setup, evidence: Evidence, model: str, sets: Sequence[str]) -> Measured:
    """Return on how many sets our mean is above every rival's; n counts sets."""
    found = _standing(setup, evidence, model, sets)
    if isinstance(found, Measured):
        return found
    rivals = slice(1, 1 + found.rivals)
    means, samples = found.means, found.samples
    won = int((means[:, 0] > means[:, rivals].max(axis=1)).sum())
    ahead = (samples[:, :, 0] > samples[:, :, rivals].max(axis=2)).sum(axis=1)
    low, high = _interval(ahead, setup.confidence)
    count = len(means)
    text = f"{setup.name(setup.method)} is ahead of each of {found.rivals} baselines on {won} "
    text += f"of {count} sets"
    if above := found.told(setup, (means[:, :1] > means).sum(axis=0), "d"):
        text += above.replace("outside the claim", "sets on which it is ahead of others", 1)
    return Measured(text, won > count / 2, won, low, high, count, "sets", found.missing)


def middle_zone(kind: str, published: float) -> Measure:
    """Return the measure of a promotion rate: it holds if the published one is in the interval."""
    nouns = {"relevant": "relevant documents", "other": "other documents", "gap": "documents"}

    def measure(setup: Setup, evidence: Evidence, model: str, sets: Sequence[str]) -> Measured:
        table = evidence.middle.get(model)
        if table is not None:
            table = table[(table["system"] == setup.method) & (table["kind"] == kind)]
        if table is None or table.empty or not math.isfinite(table.iloc[0]["rate"]):
            return Measured("", missing="the middle zone was not followed (report.panels)")
        row = table.iloc[0]
        value, low, high = (100 * float(row[name]) for name in ("rate", "low", "high"))
        unit = "points" if kind == "gap" else "%"
        text = f"{value:.1f} {unit} on {setup.names.get(setup.report_set, setup.report_set)}"
        text += f", {int(row['documents'])} {nouns[kind]} of {int(row['queries'])} queries"
        holds = low <= published <= high
        return Measured(text, holds, value, low, high, int(row["documents"]), unit)

    return measure


def formatting(setup: Setup, evidence: Evidence, model: str, sets: Sequence[str]) -> Measured:
    """Return that nothing is parsed, beside the form of what generative methods wrote."""
    table = evidence.per_query
    mine = table[
        (table["method"] == setup.method) & (table["model"] == model) & table["set"].isin(sets)
    ]
    count = len(mine[["set", "order", "query"]].drop_duplicates())
    if not count:
        return Measured("", missing=f"{setup.method} is not evaluated")
    text = f"100 % by construction: {count} rankings, nothing written and nothing parsed"
    others = [
        f"{setup.name(method)} {100 * share:.1f} %"
        for (asked, method), share in evidence.formatting.items()
        if asked == model and share is not None
    ]
    text += f"; well-formed answers of {', '.join(others)}" if others else ""
    return Measured(text, True, 100.0, n=count, unit="%")


def training_queries(setup: Setup, evidence: Evidence, model: str, sets: Sequence[str]) -> Measured:
    """Return the number of labelled queries that the method's adapters were given.

    A query whose candidates have one grade gives no pair; how many did is told beside.
    """
    found = sorted(set(evidence.training.get(model, ())))
    if not found:
        return Measured("", missing="no adapter was trained")
    counts = " or ".join(
        f"{given} labelled queries ({paired} gave pairs)" for given, paired in found
    )
    given = found[0][0]
    missing = "" if {given for given, _ in found} == {211} else "the claim is about 211"
    text = f"trained on {counts}"
    return Measured(text, not missing, given, n=given, unit="queries", missing=missing)


def truncation(setup: Setup, evidence: Evidence, model: str, sets: Sequence[str]) -> Measured:
    """Return the share of layers that are computed; the claim holds if any is left out."""
    if model not in evidence.layers:
        return Measured("", missing="no heads were selected")
    computed, layers, heads = evidence.layers[model]
    text = f"{computed} of {layers} layers are computed for the {heads} heads"
    return Measured(text, computed < layers, 100 * computed / layers, n=heads, unit="% of layers")
