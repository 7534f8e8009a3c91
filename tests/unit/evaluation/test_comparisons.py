"""Ablations: paired differences to the default, by hand."""

import pandas as pd
import pytest

from headrank.errors import HeadRankError
from headrank.evaluation.comparisons import differences

DEFAULT = pd.Series([0.5, 0.6, 0.7, 0.8], index=["a", "b", "c", "d"])


def test_differences_are_paired_and_the_default_comes_first():
    worse = (DEFAULT - 0.1).sample(frac=1, random_state=0)  # queries in another order
    mixed = DEFAULT.add([0.1, -0.1, 0.1, -0.1])
    table = differences(
        {"K": ("8", DEFAULT), "loss": ("kl", DEFAULT)},
        {("K", "16"): worse, ("loss", "none"): mixed, ("K", "4"): mixed},
        resamples=1000,
    )
    assert list(zip(table["factor"], table["setting"], table["default"], strict=True)) == [
        ("K", "8", True),
        ("K", "16", False),
        ("K", "4", False),
        ("loss", "kl", True),
        ("loss", "none", False),
    ]
    assert table["difference"].tolist() == pytest.approx([0, -0.1, 0, 0, 0])
    assert table["mean"].tolist() == pytest.approx([0.65, 0.55, 0.65, 0.65, 0.65])
    # All four differences are equal, so 2 of 16 sign patterns are as far from 0.
    assert table["p"].tolist() == pytest.approx([1, 2 / 16, 1, 1, 1])
    assert table["p_holm"].tolist() == pytest.approx([1, 6 / 16, 1, 1, 1])
    assert table.loc[1, ["low", "high"]].tolist() == pytest.approx([-0.1, -0.1])


def test_bad_input_is_named():
    with pytest.raises(HeadRankError, match="no ablated setting"):
        differences({"K": ("8", DEFAULT)}, {})
    with pytest.raises(HeadRankError, match="K 4: 1 queries differ from the default's"):
        differences({"K": ("8", DEFAULT)}, {("K", "4"): DEFAULT.drop("a")})
    with pytest.raises(HeadRankError, match=r"factors \['loss'\] have no default"):
        differences({"K": ("8", DEFAULT)}, {("loss", "none"): DEFAULT}, resamples=10)
