"""Ties of runs that others made: trec_eval's order by default, the file's ranks on demand."""

import itertools
import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrank.cli import main
from headrank.data.trec import Qrels, Run
from headrank.evaluation.measures import evaluate
from tests.helpers.expected_errors import refused

MEASURES = {
    "nDCG@3": "ndcg_cut_3",
    "AP": "map",
    "RR": "recip_rank",
    "P@2": "P_2",
    "R@2": "recall_2",
}
# Scores that tie: exactly, as float32 alone, beyond float32's range, below it.
SCORES = [0.0, -0.0, 1.0, 1.0 + 1e-9, 1e-10, 1.0000000001e-10, 16777216.0, 16777217.0]
SCORES += [1e39, 1e300, -1e39, -1e300, 1e-50, 1e-60, 0.1, float(np.float32(0.1))]
NAMES = ["a", "B", "b", "c10", "c9", "é", "漢", "\U0001f600"]


def write(path, scores, ranks=None):
    """Write a run of one query in the order given."""
    ranks = ranks or range(1, len(scores) + 1)
    lines = [f"q Q0 {d} {r} {s!r} x\n" for (d, s), r in zip(scores.items(), ranks, strict=True)]
    path.write_text("".join(lines))
    return str(path)


def printed(capsys, *arguments):
    """Return what ``headrank evaluate`` prints: values by measure, and stderr."""
    assert main(["evaluate", *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    rows = [line.split("\t") for line in captured.out.splitlines()[1:]]
    return {row[1]: float(row[2]) for row in rows}, captured.err


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(SCORES), min_size=1),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2), min_size=1),
)
@example({"b": 1.0000000001e-10, "c": 1e-10}, {"b": 1, "c": 0})
@example({"b": 1.0, "a": 1.0}, {"b": 1, "a": 0})
def test_values_are_those_of_trec_eval(tmp_path_factory, scores, grades):
    path = tmp_path_factory.mktemp("tied") / "a.run"
    write(path, scores)
    run = Run.load(path, "trec_eval")
    official = pytrec_eval.RelevanceEvaluator({"q": grades}, set(MEASURES.values()))
    expected = official.evaluate({"q": scores})["q"]
    found = evaluate(run, Qrels({"q": grades}), MEASURES).set_index("measure")["value"]
    assert {MEASURES[name]: value for name, value in found.items()} == expected
    # A cut keeps trec_eval's first documents, and a file keeps the order.
    order = [document for document, _ in run.rankings["q"]]
    assert [d for d, _ in run.cut(2).rankings["q"]] == order[:2]
    run.save(path)
    assert Run.load(path) == run


TIED = {"m": 1.0, "z": 1.0, "a": 1.0}


@pytest.mark.parametrize(
    ("ties", "order"), [("trec_eval", ["z", "m", "a"]), ("file-rank", ["m", "z", "a"])]
)
def test_the_order_of_ties_is_a_choice(tmp_path, capsys, ties, order):
    run = write(tmp_path / "a.run", TIED)
    (tmp_path / "qrels").write_text("q 0 m 1\n")
    assert [d for d, _ in Run.load(run, ties).rankings["q"]] == order
    arguments = [run, "--qrels", tmp_path / "qrels", "--measures", "RR"]
    values, _ = printed(capsys, *arguments, "--ties", ties)
    assert values["RR"] == round(1 / (1 + order.index("m")), 4)
    if ties == "trec_eval":
        assert printed(capsys, *arguments)[0] == values
    with refused("ties is 'rank'; allowed: trec_eval, file-rank"):
        Run.load(run, "rank")


def test_a_saved_run_comes_back_in_its_own_order(tmp_path):
    for order in itertools.permutations(["a", "b", "c"]):
        run = Run({"q": [("z", 2.0), *((document, 1.0) for document in order)]})
        run.save(tmp_path / "a.run")
        assert Run.load(tmp_path / "a.run") == run


def test_the_order_needs_the_ranks_where_scores_tie_alone(tmp_path):
    path = write(tmp_path / "a.run", {"a": 2.0, "b": 1.0}, ["x", "y"])
    assert [d for d, _ in Run.load(path).rankings["q"]] == ["a", "b"]
    path = write(tmp_path / "a.run", {"a": 1.0, "b": 1.0}, ["1", "y"])
    with refused("a.run:2: rank 'y' is not a whole number", "order ties as trec_eval does"):
        Run.load(path)
    assert [d for d, _ in Run.load(path, "trec_eval").rankings["q"]] == ["b", "a"]


@pytest.mark.parametrize(
    ("scores", "ranks", "lines", "first"),
    [
        ([3.0, 2.0, 1.0], [1, 2, 3], None, None),
        ([1.0, 2.0, 3.0], [3, 2, 1], None, None),  # another order of lines
        ([3.0, 2.0, 1.0], [0, 0, 0], None, None),
        ([1.0, 1.0, 1.0], [3, 1, 2], None, None),
        ([3.0, 2.0, 1.0], ["-", "-", "-"], None, None),
        ([3.0, 1.0, 2.0], [1, 2, 3], 1, 2),
        ([1.0, 2.0, 3.0], [1, 2, 3], 2, 1),  # distances taken for scores
        ([3.0, 2.0, 1.0], [3, 2, 1], 2, 2),
    ],
)
def test_ranks_that_contradict_their_scores_are_told(tmp_path, capsys, scores, ranks, lines, first):
    named = dict(zip(("a", "b", "c"), scores, strict=True))
    run = write(tmp_path / "a.run", named, ranks)
    (tmp_path / "qrels").write_text("q 0 a 1\n")
    for ties in ("trec_eval", "file-rank"):
        if ranks[0] == "-" and ties == "file-rank" and len(set(scores)) < 3:
            continue
        arguments = [run, "--qrels", tmp_path / "qrels", "--measures", "RR", "--ties", ties]
        values, stderr = printed(capsys, *arguments)
        if lines is None:
            assert stderr == ""
        else:
            assert f"a.run: {lines} rank" in stderr or "a.run: 1 line's rank" in stderr
            assert f"contradict{'s' if lines == 1 else ''} the scores, first in line {first}" in (
                stderr
            )
            # The scores decide, for the value and for a cut.
            best = max(named, key=named.get)
            assert [d for d, _ in Run.load(run, ties).cut(1).rankings["q"]] == [best]
            assert math.isclose(
                values["RR"], 1 / (1 + sum(s > scores[0] for s in scores)), abs_tol=1e-4
            )


def test_a_score_is_a_number_as_every_tool_writes_it(tmp_path):
    for text in ("1_0", "١", "1e999", "nan", "0x10", ""):
        (tmp_path / "a.run").write_text(f"q Q0 a 1 {text or '-'} x\n")
        with refused("a.run:1: score", "is not a finite number"):
            Run.load(tmp_path / "a.run")
