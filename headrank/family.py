"""The declared family of comparisons, over the experiment's per-query table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from headrank.significance import compare

# Between model and method in a system's name; neither may hold it.
_JOINT = "\x1f"


def compare_family(
    per_query: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    *,
    orders: Sequence[str],
    measure: str,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Return the comparisons of method pairs for every model, set and order, as one Holm family.

    Methods without a model and an order (``-`` in both: the first stage, an encoder) stand
    beside the others in each model and order.

    Args:
        per_query: columns set, model, adapter, order, method, query, measure, value.
        pairs: (method, compared with).

    Returns:
        :func:`headrank.significance.compare`'s columns, with ``model`` before them.
    """
    table = per_query[per_query["measure"] == measure]
    free = table["model"] == "-"
    models = list(dict.fromkeys(table.loc[~free, "model"])) or ["-"]
    parts = [
        table[free | ((table["model"] == model) & (table["order"] == order))].assign(
            order=order, system=lambda rows, model=model: model + _JOINT + rows["method"]
        )
        for model in models
        for order in orders
    ]
    result = compare(
        pd.concat(parts),
        [
            (model + _JOINT + one, model + _JOINT + other)
            for model in models
            for one, other in pairs
        ],
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    result.insert(0, "model", result["system"].str.partition(_JOINT)[0])
    for column in ("system", "baseline"):
        result[column] = result[column].str.partition(_JOINT)[2]
    return result
