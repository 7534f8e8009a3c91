"""What a table or a figure of one model is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

FREE = "-"
"""Stands where a method has no model, adapter or prompt order."""


@dataclass(frozen=True)
class Subject:
    """One model on one set, by one measure.

    Attributes:
        name: the set.
        order: prompt order; None takes all.
        names: printed names of methods, sets and models; others keep their own.
    """

    model: str
    name: str
    measure: str
    order: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def model_name(self) -> str:
        """Return the model's printed name."""
        return self.names.get(self.model, self.model)

    @property
    def set_name(self) -> str:
        """Return the set's printed name."""
        return self.names.get(self.name, self.name)

    def rows(self, values: pd.DataFrame) -> pd.DataFrame:
        """Return the subject's rows of a table of values; a method without a model has some too.

        Args:
            values: columns model, set, order, measure and others.
        """
        own = (values["measure"] == self.measure) & (values["set"] == self.name)
        own &= values["model"].isin([FREE, self.model])
        if self.order is not None:
            own &= values["order"].isin([FREE, self.order])
        return values[own]
