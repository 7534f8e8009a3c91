"""Rows of benchmarks that set one task's time against another's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from headrank.timing.stopwatch import ratio

Case = tuple[str, str, float | None]
"""Task, what it is compared with, the highest ratio allowed."""


def compared(
    times: Mapping[str, np.ndarray], cases: Mapping[str, Case], **about: object
) -> pd.DataFrame:
    """Return one row a case: seconds of both (median of the rounds), ratio, low, high, target.

    Args:
        times: ``[rounds]`` seconds of each task, as ``headrank.timing.stopwatch.alternate``
            returns them.
        about: columns that are the same in every row.
    """
    rows = []
    for case, (task, reference, target) in cases.items():
        median, low, high = ratio(times, task, reference)
        rows.append(
            {
                "case": case,
                **about,
                "rounds": len(times[task]),
                "seconds": float(np.median(times[task])),
                "reference_seconds": float(np.median(times[reference])),
                "ratio": median,
                "low": low,
                "high": high,
                "target": target,
            }
        )
    return pd.DataFrame(rows)
