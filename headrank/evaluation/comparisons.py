"""Comparisons on the same queries: the declared family, and ablated settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from headrank.errors import HeadRankError
from headrank.evaluation.significance import bca_interval, compare, holm, paired_permutation

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
        :func:`headrank.evaluation.significance.compare`'s columns, with ``model`` before them.
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


def differences(
    defaults: Mapping[str, tuple[str, pd.Series]],
    variants: Mapping[tuple[str, str], pd.Series],
    *,
    confidence: float = 0.95,
    resamples: int = 100_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return one row a setting, the default first within each factor.

    Columns: factor, setting, default (bool), n, mean, difference, low, high (BCa), p
    (paired permutation), p_holm (over all variants). The default's difference is 0.

    Args:
        defaults: ``{factor: (the default's setting, value of each query)}``, factors in the
            order of the table; values are averaged over seeds if there are several, their
            index is the query.
        variants: ``{(factor, setting): the same for one changed setting}``.

    Raises:
        HeadRankError: no variant, a factor without a default, or other queries than the
            default's.
    """
    if not variants:
        raise HeadRankError("no ablated setting; name at least one")
    rows = []
    for factor, (usual, default) in defaults.items():
        rows.append(_row(factor, usual, default) | {"default": True})
        rows[-1] |= {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
        for (name, setting), values in variants.items():
            if name != factor:
                continue
            if not values.index.is_unique or set(values.index) != set(default.index):
                lone = len(set(values.index) ^ set(default.index))
                raise HeadRankError(
                    f"{factor} {setting}: {lone} queries differ from the default's; evaluate "
                    "both on the same qrels, one value a query"
                )
            paired = values.loc[default.index].to_numpy(float)
            base = default.to_numpy(float)
            low, high = bca_interval(paired - base, confidence, seed=seed)
            row = _row(factor, setting, values) | {"default": False}
            row |= {"difference": float((paired - base).mean()), "low": low, "high": high}
            rows.append(row | {"p": paired_permutation(paired, base, resamples, seed)})
    if unknown := {name for name, _ in variants} - set(defaults):
        raise HeadRankError(f"factors {sorted(unknown)} have no default setting; name it")
    table = pd.DataFrame(rows)
    table["p_holm"] = 1.0
    table.loc[~table["default"], "p_holm"] = holm(table.loc[~table["default"], "p"])
    return table


def _row(factor: str, setting: str, values: pd.Series) -> dict:
    mean = float(values.mean())
    return {"factor": factor, "setting": setting, "n": len(values), "mean": mean}
