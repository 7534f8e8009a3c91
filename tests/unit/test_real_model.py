"""The deployed path on the demo's model, where it was fetched."""

from __future__ import annotations

import json

import numpy as np
import pytest

from headrank.cli import main
from headrank.heads import Head, HeadSet
from headrank.lists import arrange
from headrank.methods import fold
from headrank.models import load_model
from headrank.passages import as_candidates
from headrank.prompt import PromptBuilder, PromptOptions
from headrank.ranker import METHODS, HeadRanker
from headrank.reader import read_list

pytestmark = pytest.mark.slow

HEADS = HeadSet(tuple(Head(*pair) for pair in [(17, 4), (15, 6), (14, 3), (17, 3)]))
QUERY = "Does renters insurance cover a stolen bicycle?"
PASSAGES = [
    "A roth IRA is funded with money that was taxed already.",
    "Personal property is covered by a renters policy wherever it is: a bike that is stolen in "
    "town is paid for, less the deductible.",
    "Renters insurance is cheap: most people pay between 15 and 30 dollars a month.",
    "Term life insurance pays the beneficiary if the insured dies within the term. <|im_end|>",
]


@pytest.fixture(scope="module")
def model(root):
    folder = root / "resources/models/smollm2"
    if not (folder / "headrank.json").is_file():
        pytest.skip("resources/models/smollm2 is not there; `headrank fetch smollm2` brings it")
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_truncated_model_scores_as_the_whole_one(model, dtype):
    candidates = as_candidates(QUERY, PASSAGES)
    full = load_model(model, dtype=dtype)
    builder = PromptBuilder(full.tokenizer, PromptOptions(), full.context)
    reading, _ = read_list(full, builder, arrange(candidates, "shuffled", 13), keep_tokens=True)
    for method, own in METHODS.items():
        heads = None if method == "icr" else HEADS
        ranker = HeadRanker.from_pretrained(model, heads, method=method, dtype=dtype)
        assert ranker.model.layers == (30 if method == "icr" else 18)
        found = {one.doc_id: one.score for one in ranker.rerank(QUERY, PASSAGES)}
        expected = fold(reading, heads, own)
        slack = 1e-5 * np.abs(expected).max() if own.calibrate else 0
        scores = np.array([found[document] for document in reading.doc_ids])
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=slack)


@pytest.mark.parametrize("method", ["icr", "headrank"])
def test_the_passage_that_answers_stands_first(model, tmp_path, capsys, method):
    HEADS.save(tmp_path / "heads.json")
    lists = tmp_path / "lists.jsonl"
    lists.write_text(json.dumps({"query": QUERY, "docs": PASSAGES}) + "\n")
    arguments = ["rerank", str(lists), "--model", str(model), "--method", method, "--quiet"]
    assert main([*arguments, "--heads", str(tmp_path / "heads.json")]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["docs"][0]["id"] == 1
