"""How the readings of some heads become one score a document."""

from __future__ import annotations

from typing import Literal, get_args

from headrank.settings.classes import Rules, options
from headrank.settings.kinds import Flag
from headrank.settings.words import shown

Aggregation = Literal["sum", "log-sum", "mean-z", "mean-log-share", "max-logit"]
AGGREGATIONS = get_args(Aggregation)
MAX_LOGIT = "max-logit"
"""Folds no masses, but each head's largest logit of a document."""
LOGARITHMIC = ("log-sum", "mean-log-share")
"""Aggregations that take a logarithm, which a calibrated (maybe negative) mass does not have."""


@options("fold")
class Fold:
    """How per-head document masses become one score."""

    calibrate: Flag = False
    """Subtract the attention that the content-free query gives (ICR)."""
    outliers: Flag = False
    """After the heads are summed, drop each document's tokens whose calibrated mass is at most its
    mean minus two standard deviations (ICR). Needs `calibrate`.
    """
    aggregation: Aggregation = "sum"
    """How heads are joined: `sum` of their masses; `log-sum`, its logarithm; `mean-z`, the mean of
    each head's z-scores; `mean-log-share`, the mean of the logarithms of each head's shares [ours,
    except `sum`]; `max-logit`, the mean of each head's largest logit before the softmax among a
    document's tokens, averaged over the query's (MaxSim, as BlockSearch probes heads). With
    `calibrate` only `sum` and `mean-z`, with `outliers` only `sum`.
    """

    def rules(self) -> Rules:
        """Yield combinations that have no meaning."""
        how = shown(self.aggregation)
        if self.outliers and not self.calibrate:
            yield (
                "outliers",
                "is true; allowed: false, since calibrate is false (the rule is defined on "
                "calibrated masses)",
            )
        if self.calibrate and self.aggregation in (*LOGARITHMIC, MAX_LOGIT):
            why = (
                "logits are not calibrated"
                if self.aggregation == MAX_LOGIT
                else "calibrated masses can be negative and have no logarithm"
            )
            yield "aggregation", f"is {how}; allowed with calibrate: sum, mean-z ({why})"
        elif self.outliers and self.aggregation not in ("sum", *LOGARITHMIC):
            yield "aggregation", f"is {how}; allowed with outliers: sum"
