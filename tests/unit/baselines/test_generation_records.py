"""Answers read and repaired by rule; records that survive a kill with the same bytes."""

from __future__ import annotations

import gc
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrank.baselines.generation.answers import Generated, read_permutation
from headrank.baselines.generation.records import (
    FIELDS,
    generate,
    load_records,
    record,
    records_run,
    save_records,
)
from headrank.data.candidates import CandidateList, Passage
from headrank.errors import HeadRankError
from headrank.io.record_checkpoint import RecordCheckpoint
from headrank.workflow.provenance.manifest import malformed_answers

# text, order, missing, repeated, out of range, other text
ANSWERS = [
    ("[2] > [3] > [1]", (1, 2, 0), 0, 0, 0, False),
    ("2, 1, 3", (1, 0, 2), 0, 0, 0, False),
    ("[3]", (2, 0, 1), 2, 0, 0, False),  # the rest keeps its order
    ("[2] > [2] > [1]", (1, 0, 2), 1, 1, 0, False),
    ("[9] > [0] > [1] > [2] > [3]", (0, 1, 2), 0, 0, 2, False),
    ("The order is [3] > [1] > [2]", (2, 0, 1), 0, 0, 0, True),
    ("I cannot rank passages.", (0, 1, 2), 3, 0, 0, True),
    ("", (0, 1, 2), 3, 0, 0, False),
    ("[٣] > [2] > [1]", (1, 0, 2), 1, 0, 0, True),  # digits of another script
    ("[" + "7" * 5000 + "] > [3] > [2] > [1]", (2, 1, 0), 0, 0, 1, False),
]


@pytest.mark.parametrize(
    ("text", "order", "missing", "repeated", "beyond", "other"), ANSWERS, ids=range(len(ANSWERS))
)
def test_answers_become_orders(text, order, missing, repeated, beyond, other):
    answer = read_permutation(text, 3)
    assert (answer.text, answer.order) == (text, order)
    assert (answer.missing, answer.repeated, answer.out_of_range) == (missing, repeated, beyond)
    assert answer.other_text == other
    assert answer.repaired == bool(missing + repeated + beyond)
    assert answer.well_formed == (not answer.repaired and not other)


@given(st.text(), st.integers(1, 30))
def test_any_answer_becomes_a_permutation(text, count):
    answer = read_permutation(text, count)
    assert sorted(answer.order) == list(range(count))
    assert answer.repaired or answer.missing == answer.repeated == answer.out_of_range == 0


def test_thoughts_without_an_end_are_no_answer():
    whole = read_permutation("[1] > [2]</think>[2] > [1]", 2, thoughts_end="</think>")
    assert whole.order == (1, 0) and whole.well_formed
    never = read_permutation("well, [2] > [1]", 2, cut=True, thoughts_end="</think>")
    assert never.order == (0, 1) and never.missing == 2 and never.cut


def made_up(number: int, documents: int = 3) -> CandidateList:
    names = tuple(f"d{number}.{place}" for place in range(documents))
    return CandidateList(
        f"q{number}", f"query {number}", names, tuple(Passage("", name) for name in names)
    )


LISTS = [made_up(number) for number in range(4)]
SETTINGS = {"protocol": "listwise", "seed": 13, "versions": {"torch": "2"}}


def answered(candidates: CandidateList) -> Generated:
    """Return what a model might give, different for each list and with digits to keep."""
    text = "[3] > [1] ü" if candidates.query_id == "q2" else "[2] > [1] > [3]"
    answer = read_permutation(text, 3)
    scores = np.array([1 / 3, np.pi, -0.1]) + int(candidates.query_id[1:])
    return Generated(scores, 1, 30, 12, (answer,))


def finish(folder, rank=answered, settings=SETTINGS):
    """Run a job to its end; return the bytes of its records."""
    checkpoint = RecordCheckpoint(folder / "checkpoints", settings, FIELDS)
    records = generate(lambda lists: [rank(one) for one in lists], LISTS, checkpoint)
    save_records(folder / "records.jsonl", settings, records)
    checkpoint.remove()
    return (folder / "records.jsonl").read_bytes()


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


def killed_after(folder, lists: int):
    """Run a job that is killed when it comes to its list of that number; return the checkpoint."""
    seen = []

    def rank(candidates):
        if len(seen) == lists:
            raise Killed
        seen.append(candidates.query_id)
        return answered(candidates)

    with pytest.raises(Killed):
        finish(folder, rank)
    gc.collect()  # as a process that ends, with its lock
    (path,) = (folder / "checkpoints").iterdir()
    return path


@pytest.mark.parametrize("done", [0, 1, 3])
def test_a_killed_job_goes_on_to_the_same_bytes(tmp_path, done):
    expected = finish(tmp_path / "whole")
    path = killed_after(tmp_path, done)
    assert len(path.read_text().splitlines()) == 1 + done
    seen = []

    def rank(candidates):
        seen.append(candidates.query_id)
        return answered(candidates)

    assert finish(tmp_path, rank) == expected
    assert seen == [candidates.query_id for candidates in LISTS[done:]]
    assert not path.parent.exists()


@pytest.mark.parametrize("done", range(5))
def test_a_batch_that_a_kill_cut_is_asked_whole_again(tmp_path, done):
    """Here an answer depends on its company, as it may by rounding."""
    asked = []

    def rank(lists):
        asked.append([one.query_id for one in lists])
        return [replace(answered(one), new_tokens=len(lists)) for one in lists]

    checkpoint = RecordCheckpoint(tmp_path, SETTINGS, FIELDS)
    expected = generate(rank, LISTS, checkpoint, batch=3)
    assert [found["new_tokens"] for found in expected] == [3, 3, 3, 1]
    assert asked == [["q0", "q1", "q2"], ["q3"]]
    lines = checkpoint.path.read_bytes().splitlines(keepends=True)
    checkpoint.path.write_bytes(b"".join(lines[: 1 + done]))
    asked.clear()
    assert generate(rank, LISTS, checkpoint, batch=3) == expected
    assert checkpoint.path.read_bytes() == b"".join(lines)
    first = [["q0", "q1", "q2"]] if done < 3 else []
    assert asked == first + ([["q3"]] if done < 4 else [])


@pytest.mark.parametrize("left", [1, 20, -1])
def test_a_line_that_a_kill_cut_is_made_again(tmp_path, left):
    expected = finish(tmp_path / "whole")
    path = killed_after(tmp_path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:left])
    made = []

    def rank(candidates):
        made.append(candidates.query_id)
        return answered(candidates)

    assert finish(tmp_path, rank) == expected
    assert made == ["q2", "q3"]


def test_a_first_line_that_a_kill_cut_starts_anew(tmp_path):
    expected = finish(tmp_path / "whole")
    path = killed_after(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:9])
    assert finish(tmp_path) == expected


def test_damage_inside_a_checkpoint_is_refused_by_line(tmp_path):
    path = killed_after(tmp_path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged, message in (
        (b"{nonsense\n", r"jsonl:3: not a line of JSON.*; delete it to make its lists anew"),
        (lines[1], r"jsonl:3: query q0 is there twice; delete it"),
        (b'{"query": "q1"}\n', r"jsonl:3: the record has no documents; delete it"),
        (lines[2].replace(b"d1.0", b"d9.0"), r"jsonl:3: the record is damaged; delete it"),
    ):
        path.write_bytes(lines[0] + lines[1] + damaged + lines[3])
        with pytest.raises(HeadRankError, match=message):
            finish(tmp_path)
    path.write_bytes(lines[0].replace(b"13", b"14") + lines[1])
    with pytest.raises(HeadRankError, match="holds other settings than its name says"):
        finish(tmp_path)


def test_other_settings_never_resume_a_checkpoint(tmp_path):
    path = killed_after(tmp_path, 2)
    other = SETTINGS | {"seed": 14}
    made = []

    def rank(candidates):
        made.append(candidates.query_id)
        return answered(candidates)

    finish(tmp_path, rank, other)
    assert made == ["q0", "q1", "q2", "q3"]
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # the other's is left alone


def test_records_hold_the_answers_and_give_the_run(tmp_path):
    finish(tmp_path)
    settings, records = load_records(tmp_path / "records.jsonl")
    assert settings == SETTINGS
    assert [found["query"] for found in records] == ["q0", "q1", "q2", "q3"]
    assert records[2]["answers"] == [
        {
            "text": "[3] > [1] ü",
            "start": 0,
            "order": [2, 0, 1],
            "missing": 1,
            "repeated": 0,
            "out_of_range": 0,
            "other_text": True,
            "cut": False,
            "repaired": True,
            "well_formed": False,
        }
    ]
    assert (records[2]["passes"], records[2]["prompt_tokens"], records[2]["new_tokens"]) == (
        *(1, 30, 12),
    )
    assert malformed_answers(tmp_path / "records.jsonl") == 1
    run = records_run([tmp_path / "records.jsonl"], "listwise")
    assert run.name == "listwise"
    assert run.rankings["q2"] == [("d2.1", np.pi + 2), ("d2.0", 1 / 3 + 2), ("d2.2", 1.9)]
    with pytest.raises(HeadRankError, match="query q0 stands in another shard too"):
        records_run([tmp_path / "records.jsonl"] * 2, "listwise")


def test_files_without_settings_are_refused(tmp_path):
    path = tmp_path / "records.jsonl"
    for text in ("", json.dumps({"query": "q"}) + "\n"):
        path.write_text(text)
        with pytest.raises(HeadRankError, match="the first line holds no settings"):
            load_records(path)


def test_scores_that_are_no_numbers_are_refused():
    made = Generated(np.array([1.0, np.nan, 0.0]), 1, 1)
    with pytest.raises(HeadRankError, match=r"query q0, document d0\.1: score is nan"):
        record(LISTS[0], made)
