"""Records of lists, of a job that is killed: it goes on behind them."""

import resource
import signal
from types import SimpleNamespace

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


def finish(checkpoint, kill=None, label=None):
    """Return the records of every list, and the names of those that were made now."""
    made = []

    def make(some):
        for candidates in some:
            if candidates.query_id == kill:
                raise Killed
            made.append(candidates.query_id)
            yield list_records.score_record(candidates, SCORES)

    found = []
    for one in list_records.list_records(LISTS, make, checkpoint, label):
        found.append(one)
    return found, made


def begun(folder):
    return RecordCheckpoint(folder, {"seed": 13}, list_records.SCORES)


def killed(checkpoint, name):
    """Leave a checkpoint as a process does that is killed: its lock goes with it."""
    with pytest.raises(Killed):
        finish(checkpoint, name)
    checkpoint._file.close()


@pytest.mark.parametrize("number", range(4))
def test_lists_that_are_done_are_not_made_again(tmp_path, monkeypatch, capsys, caplog, number):
    monkeypatch.setattr(list_records, "EVERY", 0.0)
    expected, every = finish(None)
    assert every == ["q0", "q1", "q2", "q3"]
    killed(begun(tmp_path), f"q{number}")
    with caplog.at_level("INFO"):
        assert finish(begun(tmp_path), label="ranking") == (expected, every[number:])
    assert (f"{number} of 4 lists were done before" in caplog.text) == (number > 0)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == f"ranking: {number} of 4 queries"
    assert last.startswith("ranking: 4 of 4 queries, 0:00")
    run = list_records.scored_run(expected, "mine")
    assert run.name == "mine" and run.rankings["q2"] == [("b", 1 / 3), ("a", -2.5e-8)]


def test_records_reach_the_disk_from_time_to_time(tmp_path, monkeypatch):
    clock = iter([0, 0.4, 1.1, 1.1, 1.5, 1.6])
    monkeypatch.setattr(list_records, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    checkpoint = begun(tmp_path / "begun")
    finish(checkpoint)
    checkpoint._file.close()
    assert list(checkpoint.resume()) == ["q0", "q1"]
    checkpoint.remove(folder=False)
    assert list((tmp_path / "begun").iterdir()) == []
    checkpoint.remove()
    assert not (tmp_path / "begun").exists()
    checkpoint.remove()  # a job that began no list


def test_a_second_process_is_told_of_the_first(tmp_path):
    first = begun(tmp_path)
    first.resume()
    with pytest.raises(HeadRankError, match="another process works behind this checkpoint"):
        begun(tmp_path).resume()
    first.remove()
    assert begun(tmp_path).resume() == {}


@pytest.mark.parametrize("digits", [b"9.5]", b"null]", b"]"])
def test_a_damaged_record_is_told_by_its_line(tmp_path, monkeypatch, digits):
    monkeypatch.setattr(list_records, "EVERY", 0.0)
    checkpoint = begun(tmp_path)
    killed(checkpoint, "q2")
    data = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(data.replace(b"-2.5e-08]", digits, 1))
    with pytest.raises(HeadRankError, match=r"jsonl:2: .*; delete it to make its lists anew"):
        begun(tmp_path).resume()


def test_a_full_disk_is_told_of_the_checkpoint(tmp_path):
    checkpoint = begun(tmp_path)
    checkpoint.resume()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
        with pytest.raises(HeadRankError, match=f"{checkpoint.path}: cannot be written, the disk"):
            checkpoint.append([list_records.score_record(one, SCORES) for one in LISTS])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)


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
