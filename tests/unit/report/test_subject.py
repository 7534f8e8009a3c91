"""What a table or a figure of one model is of: its rows and its names."""

import pandas as pd

from headrank.report.subject import Subject

VALUES = pd.DataFrame(
    [
        ("a", "m", "shuffled", "nDCG@10"),
        ("a", "m", "reversed", "nDCG@10"),
        ("a", "-", "-", "nDCG@10"),
        ("a", "other", "shuffled", "nDCG@10"),
        ("b", "m", "shuffled", "nDCG@10"),
        ("a", "m", "shuffled", "AP"),
    ],
    columns=["set", "model", "order", "measure"],
)


def test_a_subject_takes_its_rows_and_those_of_methods_without_a_model():
    assert Subject("m", "a", "nDCG@10").rows(VALUES).index.tolist() == [0, 1, 2]
    assert Subject("m", "a", "nDCG@10", "shuffled").rows(VALUES).index.tolist() == [0, 2]


def test_a_subject_is_called_by_its_printed_names():
    named = Subject("m", "a", "nDCG@10", names={"m": "Model M"})
    assert (named.model_name, named.set_name) == ("Model M", "a")
