"""Head sets: order, masks, files, and the errors of sets that do not fit."""

import json

import numpy as np
import pytest

from headrank.data.heads import Head, HeadSet, every_head, top
from headrank.errors import HeadRankError

HEADS = HeadSet(
    (Head(3, 1, 0.9, 0.95, 0.5), Head(0, 2, 0.8), Head(3, 0, 0.1 + 0.2)),
    {"model_digest": "a" * 64, "selection": {"layers": [0, 3]}},
)


def test_what_a_set_tells():
    assert HEADS.deepest == 3
    assert HEADS.pairs == [(3, 1), (0, 2), (3, 0)]
    expected = np.zeros((4, 3), dtype=bool)
    expected[[3, 0, 3], [1, 2, 0]] = True
    np.testing.assert_array_equal(HEADS.mask(4, 3), expected)


def test_a_set_survives_its_file(tmp_path):
    HEADS.save(tmp_path / "heads.json")
    assert HeadSet.load(tmp_path / "heads.json") == HEADS


def test_a_bare_list_is_accepted(tmp_path):
    path = tmp_path / "heads.json"
    path.write_text('[{"layer": 1, "head": 0}, {"head": 2, "layer": 0, "score": 1}]')
    assert HeadSet.load(path) == HeadSet((Head(1, 0), Head(0, 2, 1.0)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"provenance": {}}', "expected a list of heads, or an object with 'heads'"),
        ("3", "expected a list of heads"),
        ("[]", "holds no head"),
        ("[3]", "entry 0 is 3; each needs 'layer' and 'head', whole numbers from 0"),
        ('[{"layer": 0, "head": 1}, {"layer": 1}]', "entry 1 is {'layer': 1}"),
        ('[{"layer": -1, "head": 1}]', "entry 0"),
        ('[{"layer": 1, "head": 1.5}]', "entry 0"),
        ('[{"layer": "1", "head": 1}]', "entry 0"),
        ('[{"layer": 1, "head": true}]', "entry 0"),
        ('[{"layer": 1, "head": 1, "score": "high"}]', "entry 0"),
        ('[{"layer": 1, "head": 1}, {"layer": 1, "head": 1}]', "layer 1, head 1 is selected twice"),
        ("[{", "not valid JSON"),
    ],
)
def test_files_that_hold_no_heads(tmp_path, content, message):
    path = tmp_path / "heads.json"
    path.write_text(content)
    with pytest.raises(HeadRankError) as caught:
        HeadSet.load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(HeadRankError, match=r"heads\.json: no such file"):
        HeadSet.load(tmp_path / "heads.json")


@pytest.mark.parametrize("shape", [(3, 9), (9, 2), (1, 1)])
def test_heads_beyond_the_model(shape):
    with pytest.raises(HeadRankError, match=rf"has {shape[0]} layers of {shape[1]} heads; profile"):
        HEADS.check_model(*shape)
    with pytest.raises(HeadRankError):
        HEADS.mask(*shape)
    HEADS.check_model(4, 3)


def test_heads_of_other_weights():
    HEADS.check_model(4, 3, "a" * 64)
    HEADS.check_model(4, 3, None)
    HeadSet(HEADS.heads).check_model(4, 3, "b" * 64)  # nobody knows where they are from
    with pytest.raises(HeadRankError, match=r"selected on weights a{16}, these are b{16}; profile"):
        HEADS.check_model(4, 3, "b" * 64)


def test_sets_that_cannot_be():
    with pytest.raises(HeadRankError, match="holds no head; select at least one"):
        HeadSet(())
    with pytest.raises(HeadRankError, match="layer 0, head 2 is selected twice; keep one"):
        HeadSet((Head(1, 1), Head(0, 2), Head(0, 2, 0.5)))


def test_every_head():
    whole = every_head(4, 3)
    assert whole.mask(4, 3).all() and len(whole.heads) == 12


def test_top_breaks_ties_by_layer_then_head():
    scores = np.array([[0.1, 0.5, 0.5], [0.5, 0.9, 0.1]])
    assert top(scores, 4) == [(1, 1), (0, 1), (0, 2), (1, 0)]
    assert top(scores, 6)[-2:] == [(0, 0), (1, 2)]
    scores[1] = -np.inf
    assert top(scores, 3) == [(0, 1), (0, 2), (0, 0)]


def test_the_file_is_plain_json(tmp_path):
    HEADS.save(tmp_path / "heads.json")
    first = json.loads((tmp_path / "heads.json").read_text())["heads"][0]
    assert first == {
        "layer": 3,
        "head": 1,
        "score": 0.9,
        "discriminability": 0.95,
        "entropy": 0.5,
    }


@pytest.mark.parametrize(
    ("digest", "known"), [("", "a" * 64), ("a" * 64, ""), ("", ""), ("", None)]
)
def test_weights_that_nobody_hashed_match_no_heads(digest, known):
    heads = HeadSet((Head(0, 0),), {"model_digest": known})
    with pytest.raises(HeadRankError, match=r"has no digest.*convert them to safetensors"):
        heads.check_model(4, 3, digest)


@pytest.mark.parametrize("score", ["1e999", "-1e999", "9" * 400])
def test_a_score_that_no_float_holds_is_refused(tmp_path, score):
    path = tmp_path / "heads.json"
    path.write_text(f'[{{"layer": 0, "head": 1, "score": {score}}}]')
    with pytest.raises(HeadRankError, match=r"heads\.json: entry 0"):
        HeadSet.load(path)
