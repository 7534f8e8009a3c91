"""Runs and qrels: round trips, order of ties, and each malformed line named."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError

NAMES = st.text(alphabet="abcXYZ019-_.é", min_size=1, max_size=6)
SCORES = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, st.dictionaries(NAMES, SCORES, min_size=1, max_size=6), min_size=1))
def test_run_survives_the_file(tmp_path_factory, scores):
    path = tmp_path_factory.mktemp("run") / "a.run"
    run = Run.from_scores(scores, name="tag")
    run.save(path)
    assert Run.load(path) == run


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        NAMES, st.dictionaries(NAMES, st.integers(-2, 4), min_size=1, max_size=6), min_size=1
    )
)
def test_qrels_survive_the_file(tmp_path_factory, grades):
    path = tmp_path_factory.mktemp("qrels") / "a.tsv"
    Qrels(grades).save(path)
    assert Qrels.load(path).grades == grades


def test_ties_are_ordered_by_docid_as_a_string():
    run = Run.from_scores({"q": {"d9": 1.0, "d10": 1.0, "d2": 2.0, "D3": 1.0}})
    assert [document for document, _ in run.rankings["q"]] == ["d2", "D3", "d10", "d9"]


def test_the_rank_column_is_ignored(tmp_path):
    path = tmp_path / "a.run"
    path.write_text("q Q0 a 1 0.5 t\n\nq Q0 b 2 0.75 t\n", encoding="utf-8")
    assert Run.load(path).rankings == {"q": [("b", 0.75), ("a", 0.5)]}


def test_neighbouring_scores_stay_apart_in_the_file(tmp_path):
    high = 0.1
    low = math.nextafter(high, 0)
    Run.from_scores({"q": {"a": low, "b": high}}).save(tmp_path / "a.run")
    assert Run.load(tmp_path / "a.run").rankings["q"] == [("b", high), ("a", low)]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_scores_must_be_finite(score):
    with pytest.raises(HeadRankError, match="query q, document a"):
        Run.from_scores({"q": {"a": score}})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q Q0 a 1 0.5", "a.run:2: 5 columns, expected 6"),
        ("q Q0 a 1 0.5 t more", "a.run:2: 7 columns, expected 6"),
        ("q Q0 a 1 high t", "a.run:2: score 'high' is not a finite number"),
        ("q Q0 a 1 nan t", "a.run:2: score 'nan' is not a finite number"),
        ("q Q0 a 1 inf t", "a.run:2: score 'inf' is not a finite number"),
        ("q Q0 first 2 0.1 t", "a.run:2: document first appears twice for query q"),
    ],
)
def test_a_malformed_run_line_is_named(tmp_path, line, message):
    path = tmp_path / "a.run"
    path.write_text(f"q Q0 first 1 9 t\n{line}\n", encoding="utf-8")
    with pytest.raises(HeadRankError) as error:
        Run.load(path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q 0 a", "a.tsv:2: 3 columns, expected 4"),
        ("q 0 a 1.5", "a.tsv:2: grade '1.5' is not a whole number"),
        ("q 0 first 2", "a.tsv:2: query q, document first has grades 1 and 2"),
    ],
)
def test_a_malformed_qrels_line_is_named(tmp_path, line, message):
    path = tmp_path / "a.tsv"
    path.write_text(f"q 0 first 1\n{line}\n", encoding="utf-8")
    with pytest.raises(HeadRankError) as error:
        Qrels.load(path)
    assert message in str(error.value)


@pytest.mark.parametrize("kind", [Run, Qrels])
def test_missing_empty_and_binary_files(tmp_path, kind):
    with pytest.raises(HeadRankError, match="no such file"):
        kind.load(tmp_path / "absent")
    (tmp_path / "empty").write_text("\n \n", encoding="utf-8")
    with pytest.raises(HeadRankError, match="empty"):
        kind.load(tmp_path / "empty")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(HeadRankError, match="not UTF-8"):
        kind.load(tmp_path / "binary")


def test_the_same_judgment_twice_is_one(tmp_path):
    (tmp_path / "q").write_text("q 0 a 1\nq 0 a 1\n", encoding="utf-8")
    assert Qrels.load(tmp_path / "q").grades == {"q": {"a": 1}}


def test_cut_and_only():
    run = Run.from_scores({"q": {"a": 3.0, "b": 2.0, "c": 1.0}}, name="n")
    assert run.cut(2) == Run({"q": [("a", 3.0), ("b", 2.0)]}, "n")
    qrels = Qrels({"q": {"a": 1}, "r": {"b": 0}})
    assert qrels.only(["r", "unknown"]).grades == {"r": {"b": 0}}


def test_parts_of_a_run_are_joined(tmp_path):
    paths = [tmp_path / f"{number}.run" for number in range(3)]
    Run.from_scores({"q2": {"a": 2.0, "b": 3.0}}).save(paths[0])
    paths[1].write_text("")
    Run.from_scores({"q1": {"a": 1.0}}).save(paths[2])
    joined = Run.join(paths, "core")
    assert joined.rankings == {"q2": [("b", 3.0), ("a", 2.0)], "q1": [("a", 1.0)]}
    assert joined.name == "core"
    with pytest.raises(HeadRankError, match="query q2 also stands in another part of core"):
        Run.join([paths[0], paths[0]], "core")
    with pytest.raises(HeadRankError, match="core: none of 1 parts holds a query"):
        Run.join([paths[1]], "core")
