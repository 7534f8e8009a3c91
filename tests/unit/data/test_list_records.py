"""Records of lists, of a job that is killed: it goes on behind them."""

import pytest

from headrank.data import list_records
from headrank.data.candidates import CandidateList, Passage
from headrank.errors import HeadRankError
from headrank.io.record_checkpoint import RecordCheckpoint

SCORES = (1 / 3, -2.5e-8)
LISTS = [
    CandidateList(f"q{n}", "query", ("b", "a"), (Passage("", "one"), Passage("", "two")))
    for n in range(4)
]


class Killed(Exception):
    pass


def finish(checkpoint, kill=None):
    """Return the records of every list, and the names of those that were made now."""
    made = []

    def make(some):
        for candidates in some:
            if candidates.query_id == kill:
                raise Killed
            made.append(candidates.query_id)
            yield list_records.score_record(candidates, SCORES)

    found = []
    for one in list_records.list_records(LISTS, make, checkpoint):
        found.append(one)
    return found, made


def begun(folder):
    return RecordCheckpoint(folder, {"seed": 13}, list_records.SCORES)


@pytest.mark.parametrize("number", range(4))
def test_lists_that_are_done_are_not_made_again(tmp_path, monkeypatch, number):
    monkeypatch.setattr(list_records, "EVERY", 0.0)
    expected, every = finish(None)
    assert every == ["q0", "q1", "q2", "q3"]
    with pytest.raises(Killed):
        finish(begun(tmp_path), f"q{number}")
    assert finish(begun(tmp_path)) == (expected, every[number:])
    run = list_records.scored_run(expected, "mine")
    assert run.name == "mine" and run.rankings["q2"] == [("b", 1 / 3), ("a", -2.5e-8)]


def test_records_reach_the_disk_from_time_to_time(tmp_path, monkeypatch):
    clock = iter([0, 0.4, 1.1, 1.1, 1.5, 1.6])
    monkeypatch.setattr(list_records.time, "monotonic", lambda: next(clock))
    checkpoint = begun(tmp_path)
    finish(checkpoint)
    assert list(checkpoint.resume()) == ["q0", "q1"]
    checkpoint.remove()
    assert not tmp_path.exists()


def test_another_list_under_a_known_name_is_refused(tmp_path):
    checkpoint = begun(tmp_path)
    checkpoint.resume()
    checkpoint.append([{"query": "q1", "documents": ["a", "b"], "scores": [1, 2]}])
    with pytest.raises(HeadRankError, match=r"query q1 has other documents .*; delete it to make"):
        finish(checkpoint)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_reaches_no_file(score):
    with pytest.raises(HeadRankError, match=f"query q0, document a: score is {score}"):
        list_records.score_record(LISTS[0], [1.0, score])
