"""The claims of the paper, each judged by what a run measured.

A claim is judged only on the models, benchmarks and list length it is about; where a run
has others, it is ``not run``, and the run's own numbers stand beside it as ``analogue``.
The 14 benchmarks are an inference, not a statement of the paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from headrank.report.claims.measures import (
    BENCHMARKS,
    Evidence,
    Measure,
    Measured,
    Setup,
    formatting,
    highest_average,
    middle_zone,
    training_queries,
    truncation,
    wins,
)

REPRODUCED, NOT_REPRODUCED, NOT_RUN = "reproduced", "not reproduced", "not run"
ANALOGUE = "analogue"
CANDIDATES = 40
SCALES = {"0.6B": "Qwen/Qwen3-0.6B", "1.7B": "Qwen/Qwen3-1.7B", "4B": "Qwen/Qwen3-4B"}


@dataclass(frozen=True)
class Claim:
    """One claim: at which scales it is made, on what, and how a run measures it.

    Attributes:
        needs: ``all`` of the benchmarks, ``any``, the ``report`` set, or ``none``.
    """

    key: str
    statement: str
    published: str
    measure: Measure
    scales: tuple[str, ...] = tuple(SCALES)
    needs: str = "none"


def judge(claims: Sequence[Claim], setup: Setup, evidence: Evidence) -> pd.DataFrame:
    """Return one row a claim and scale with its status, and analogues behind those not run.

    Columns: claim, statement, scale, published, status, model, sets, measured, value, low,
    high, n, unit, reason.

    Raises:
        HeadRankError: systems of one set were evaluated on different queries.
    """
    rows = []
    for claim in claims:
        judged = set()
        for scale in claim.scales:
            row, model = _judge(claim, scale, setup, evidence)
            rows.append(row)
            judged |= {model} if row["status"] != NOT_RUN else set()
        for model in setup.models:
            if model not in judged:
                made = claim.measure(setup, evidence, model, list(setup.sets))
                sets = list(setup.sets)
                rows += [_row(claim, "", ANALOGUE, model, sets, made)] if made.n else []
    return pd.DataFrame(rows)


def _judge(claim: Claim, scale: str, setup: Setup, evidence: Evidence) -> tuple[dict, str | None]:
    repositories = {repository: model for model, repository in setup.models.items()}
    model = repositories.get(SCALES[scale])
    lacking = list(_lacking(claim, scale, setup))
    if lacking or model is None:
        return _row(claim, scale, NOT_RUN, "", [], Measured("", missing="; ".join(lacking))), None
    sets = list(setup.benchmarks().values())
    # The paper counts each of its benchmarks.
    made = claim.measure(replace(setup, groups={}), evidence, model, sets)
    if made.missing or not made.n:
        return _row(claim, scale, NOT_RUN, model, sets, made), model
    status = REPRODUCED if made.holds else NOT_REPRODUCED
    return _row(claim, scale, status, model, sets, made), model


def _lacking(claim: Claim, scale: str, setup: Setup) -> Iterator[str]:
    """Yield what a claim is about and the run has not."""
    if SCALES[scale] not in setup.models.values():
        yield f"{SCALES[scale].split('/')[1]} is none of the models"
    known = setup.benchmarks()
    absent = [name for key, name in BENCHMARKS.items() if key not in known]
    if claim.needs == "all" and absent:
        yield f"{len(absent)} of {len(BENCHMARKS)} benchmarks are not evaluated whole"
    if claim.needs == "any" and not known:
        yield "none of the benchmarks is evaluated whole"
    if claim.needs == "report" and setup.report_set not in known.values():
        yield "report.set is none of the benchmarks"
    if claim.needs in ("all", "report") and setup.candidates != CANDIDATES:
        yield f"lists hold {setup.candidates} candidates, not {CANDIDATES}"


def _row(
    claim: Claim, scale: str, status: str, model: str, sets: Sequence[str], made: Measured
) -> dict:
    return {
        "claim": claim.key,
        "statement": claim.statement,
        "scale": scale,
        "published": claim.published,
        "status": status,
        "model": model,
        "sets": " ".join(sets),
        "measured": made.text,
        "value": made.value,
        "low": made.low,
        "high": made.high,
        "n": made.n,
        "unit": made.unit,
        "reason": made.missing,
    }


_AVERAGE = Claim(
    "highest-average",
    "highest average nDCG@10, above generative and decoding-free baselines",
    "highest",
    highest_average,
    needs="all",
)
CLAIMS = (
    _AVERAGE,
    replace(
        _AVERAGE,
        key="majority",
        statement="ahead of these baselines on the majority of benchmarks",
        published="more than 7 of 14",
        measure=wins,
    ),
    *(
        Claim(
            f"middle-{kind}",
            f"middle zone, {what}",
            f"{published:g} {unit}",
            middle_zone(kind, published),
            scales=("4B",),
            needs="report",
        )
        for kind, what, published, unit in (
            ("relevant", "relevant documents that reach the top quartile", 57.4, "%"),
            ("other", "irrelevant documents that reach it", 14.2, "%"),
            ("gap", "the difference", 43, "points"),
        )
    ),
    Claim("formatting", "formatting success", "100 %", formatting, needs="any"),
    Claim("training-queries", "aligned on 211 labelled queries", "211", training_queries),
    Claim(
        "depth-truncation",
        "inference stops at the deepest layer with a selected head",
        "yes",
        truncation,
    ),
)
"""What the abstracts of arXiv 2604.17237 (v1 and v2) state."""
