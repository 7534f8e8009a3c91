"""The generative baselines: windows, permutations as models write them, costs."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tiny_models as tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from headrank.errors import HeadRankError
from headrank.generate import (
    greedy,
    load_generator,
    parse_permutation,
    rank_listwise,
    rank_pointwise,
    windows,
)
from headrank.lists import CandidateList, Passage


@pytest.fixture(scope="module")
def generator():
    return load_generator(tiny.folder("qwen3"))


def long_list(count: int) -> CandidateList:
    return CandidateList(
        "q",
        "what pays",
        tuple(f"d{n}" for n in range(count)),
        tuple(Passage("", f"passage {n}") for n in range(count)),
    )


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (100, [(a, a + 20) for a in range(80, -1, -10)]),
        (40, [(20, 40), (10, 30), (0, 20)]),
        (20, [(0, 20)]),
        (7, [(0, 7)]),
        (25, [(5, 25), (0, 15)]),
    ],
)
def test_windows_slide_from_the_end_to_the_head(count, expected):
    assert list(windows(count)) == expected


@given(st.integers(1, 200), st.integers(1, 30), st.integers(1, 30))
def test_windows_leave_no_document_out(count, window, stride):
    if stride > window:
        with pytest.raises(HeadRankError, match="stride"):
            list(windows(count, window, stride))
        return
    found = list(windows(count, window, stride))
    assert {place for start, stop in found for place in range(start, stop)} == set(range(count))
    assert found[-1][0] == 0
    assert all(stop - start <= window for start, stop in found)


@pytest.mark.parametrize(
    ("answer", "order", "well_formed"),
    [
        ("[2] > [3] > [1]", [1, 2, 0], True),
        ("2, 1, 3", [1, 0, 2], True),
        ("[3]", [2, 0, 1], False),  # the rest keeps its order
        ("[2] > [2] > [1]", [1, 0, 2], False),
        ("[9] > [0] > [1] > [2] > [3]", [0, 1, 2], False),
        ("I cannot rank passages.", [0, 1, 2], False),
        ("", [0, 1, 2], False),
        ("[" + "7" * 5000 + "] > [3] > [2] > [1]", [2, 1, 0], False),
    ],
)
def test_answers_become_orders(answer, order, well_formed):
    assert parse_permutation(answer, 3) == (order, well_formed)


@given(st.text(), st.integers(1, 30))
def test_any_answer_becomes_a_permutation(answer, count):
    order, _ = parse_permutation(answer, count)
    assert sorted(order) == list(range(count))


def test_listwise_moves_the_best_through_the_windows(generator):
    """An oracle that puts the highest document number first brings the last ones to the head."""
    seen = []

    def write(generator, ids, most):
        text = generator.tokenizer.decode(ids)
        seen.append(text)
        numbers = [int(number) for number in re.findall(r"\] passage (\d+)", text)]
        order = sorted(range(len(numbers)), key=lambda i: -numbers[i])
        return generator.tokenizer.encode(" > ".join(f"[{i + 1}]" for i in order))

    result = rank_listwise(generator, long_list(12), window=4, stride=2, write=write)
    order = np.argsort(-result.scores).tolist()
    assert order[:2] == [11, 10]
    assert sorted(order) == list(range(12))
    assert (result.passes, result.malformed) == (5, 0)
    assert all("Query: what pays" in text for text in seen)


def test_malformed_answers_are_counted_and_keep_the_order(generator):
    result = rank_listwise(generator, long_list(6), window=4, stride=2, write=lambda *_: [])
    assert np.argsort(-result.scores).tolist() == list(range(6))
    assert (result.passes, result.malformed, result.new_tokens) == (2, 2, 0)


def test_greedy_decoding_equals_transformers(generator):
    ids = generator.tokenizer.encode("what does a policy pay")
    expected = generator.model.generate(
        torch.tensor([ids]), max_new_tokens=12, do_sample=False, pad_token_id=0
    )[0, len(ids) :].tolist()
    stops = [place for place, token in enumerate(expected) if token in generator.stop]
    assert greedy(generator, ids, 12) == (expected[: stops[0]] if stops else expected)


def test_listwise_runs_on_a_model(generator):
    result = rank_listwise(generator, tiny.candidates(), document_tokens=8)
    assert sorted(result.scores.tolist()) == [1, 2, 3, 4, 5, 6]
    assert result.passes == 1
    assert result.prompt_tokens > 6 * 8


def test_pointwise_is_the_log_odds_of_yes(generator):
    result = rank_pointwise(generator, tiny.candidates(), document_tokens=8)
    assert result.passes == 6
    assert np.isfinite(result.scores).all()
    assert len(set(result.scores.tolist())) == 6
    alone = rank_pointwise(generator, tiny.candidates(skip=5), document_tokens=8)
    assert alone.scores[0] == pytest.approx(result.scores[5], rel=1e-5)


def test_nothing_to_load_is_an_error(tmp_path):
    with pytest.raises(HeadRankError, match="no model can be loaded"):
        load_generator(tmp_path)
    with pytest.raises(HeadRankError, match="dtype 'int8' is unknown"):
        load_generator(tmp_path, dtype="int8")
