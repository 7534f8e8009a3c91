"""Scores of one list on a common scale."""

from __future__ import annotations

import numpy as np


def zscore(values: np.ndarray) -> np.ndarray:
    """Return values less their mean over their deviation, along the last axis; 0 if constant."""
    centred = values - values.mean(axis=-1, keepdims=True)
    deviation = values.std(axis=-1, keepdims=True)
    # Equal values have a mean that is rounded, and so a deviation that is not quite 0.
    varied = (np.ptp(values, axis=-1, keepdims=True) > 0) & (deviation > 0)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=varied)
