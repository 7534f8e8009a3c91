"""The table of what an experiment will cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from headrank.report.tables.table import Column, Table, from_frame
from headrank.workflow.estimate.terms import MINING, Stage

_COLUMNS = [
    Column("stage", "Stage"),
    Column("model", "Model"),
    Column("jobs", "Jobs", digits=0),
    Column("queries", "Queries", digits=0),
    Column("tokens", "Million tokens", digits=1),
    Column("fetched", "GB fetched", digits=1),
    Column("gigabytes", "GB on disk", digits=1),
    Column("hours", "Hours", digits=1),
    Column("per_second", "Tokens a second", digits=0),
    Column("basis", "Basis"),
]
_NUMBERS = ["queries", "tokens", "gigabytes", "fetched", "hours", "per_second"]
_SUMS = ["jobs", "tokens", "gigabytes", "fetched", "hours"]
UNKNOWN = "unknown"


def table(stages: Iterable[Stage]) -> pd.DataFrame:
    """Return one row a stage and their total; a sum with an unknown part is unknown."""
    frame = pd.DataFrame([vars(stage) for stage in stages]).astype(dict.fromkeys(_NUMBERS, float))
    sums = {name: frame[name].sum(skipna=False) for name in _SUMS}
    total = vars(Stage("total", "-", 0)) | sums
    return pd.concat([frame, pd.DataFrame([total])], ignore_index=True)


def estimate_table(stages: Sequence[Stage], source: str | None = None) -> Table:
    """Return the stages of an estimate and their total.

    A dash is nothing, or too little to count; what cannot be known yet is called unknown.

    Args:
        source: where the assumed speeds and shapes are from.
    """
    frame = table(stages)
    frame["tokens"] /= 1e6
    # What is known of a sum that has an unknown part still decides if a run is begun.
    least = {
        name: f"at least {frame[name][:-1].sum():.1f}"
        for name in ("fetched", "gigabytes", "hours")
        if np.isnan(frame[name].iloc[-1]) and frame[name][:-1].sum() > 0
    }
    frame[_NUMBERS] = frame[_NUMBERS].astype(object).where(frame[_NUMBERS].notna(), UNKNOWN)
    frame[_NUMBERS] = frame[_NUMBERS].where(frame[_NUMBERS] != 0, None)
    frame.loc[frame.index[-1], list(least)] = list(least.values())
    notes = [
        "Queries count once for each reading of them. Hours are those of one device that does "
        "one job after another. Tables, figures, logs, the timing of methods, and ablations that "
        "the report does not have, are left out. An index counts documents for tokens, training "
        "each token three times. Sources are what ir_datasets fetches and unpacks in its own "
        "folder, which may be deleted when the collections are made.",
        "Measured: recorded by earlier runs, or the size of what is there. "
        "Assumed: told by the config.",
    ]
    timed = frame[(frame["model"] != "-") & frame["jobs"].astype(bool)]
    if slow := list(dict.fromkeys(timed["model"][timed["basis"] == ""])):
        notes.append(
            f"Unknown speeds: no reading with {', '.join(slow)} was recorded here. Read a small "
            "set first, or set estimate.models.NAME (layers, heads, tokens_per_second) and "
            "estimate.source."
        )
    if (timed["tokens"][timed["basis"] != ""] == UNKNOWN).any():
        notes.append(
            "Unknown tokens: the size of a set is known by `take` or once it is sampled; a "
            "document's by prompt.document_tokens, estimate.document_tokens or a corpus that is "
            "here."
        )
    if (frame["stage"].str.startswith(MINING) & frame["queries"].isna()).any():
        notes.append(
            "Pairs without a cost: no cap drops a pair of such short lists, so none is read "
            "(pairs.margins: false). Lists of three grades or more may be."
        )
    if source and (frame["basis"] == "assumed").any():
        notes.append(f"Assumed speeds: {source}")
    return from_frame("What the experiment costs", frame, _COLUMNS, notes=notes)
