"""The deployed path on the demo's model, where it was fetched."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from headrank.baselines.generation.batched import greedy_together
from headrank.baselines.generation.model import greedy, load_generator, next_logits
from headrank.baselines.generation.protocols import GenerativeMethod
from headrank.cli import main
from headrank.data.candidates import arrange, as_candidates
from headrank.data.heads import Head, HeadSet
from headrank.heads.fold import fold
from headrank.models.decoder import load_model
from headrank.options.fold import Fold
from headrank.options.prompt import LAYOUTS, PromptOptions
from headrank.ranker.options import METHODS
from headrank.ranker.ranker import HeadRanker
from headrank.reading.lists import read_list
from headrank.reading.prompt import PromptBuilder
from headrank.reading.recording import ReadOptions
from tests.unit.test_same_scores import by_command, by_python, by_workflow, lists_of

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
    reading, _ = read_list(
        full, builder, arrange(candidates, "shuffled", 13), ReadOptions(keep_tokens=True)
    )
    for method, own in METHODS.items():
        heads = None if method == "icr" else HEADS
        ranker = HeadRanker.from_pretrained(model, heads, method=method, dtype=dtype)
        assert ranker.model.layers == (30 if method == "icr" else 18)
        found = {one.doc_id: one.score for one in ranker.rerank(QUERY, PASSAGES)}
        expected = fold(reading, heads, own)
        slack = 1e-5 * np.abs(expected).max() if own.calibrate else 0
        scores = np.array([found[document] for document in reading.doc_ids])
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=slack)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("how", ["log-sum", "max-logit"])
def test_documents_read_apart_score_the_same_bits_in_any_order(model, dtype, how):
    orders = ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0])
    for layout in LAYOUTS[1:]:
        prompt, own = PromptOptions(layout=layout), Fold(aggregation=how)
        ranker = HeadRanker.from_pretrained(model, HEADS, prompt=prompt, fold=own, dtype=dtype)
        found = []
        for order in orders:
            texts = [PASSAGES[place] for place in order]
            ranking = ranker.rerank(QUERY, texts, ids=[str(place) for place in order])
            found.append({one.doc_id: one.score for one in ranking})
        assert found[0] == found[1] == found[2]
        assert len(set(found[0].values())) == len(PASSAGES)


@pytest.mark.parametrize("method", ["icr", "headrank"])
def test_the_passage_that_answers_stands_first(model, tmp_path, capsys, method):
    HEADS.save(tmp_path / "heads.json")
    lists = tmp_path / "lists.jsonl"
    lists.write_text(json.dumps({"query": QUERY, "docs": PASSAGES}) + "\n")
    arguments = ["rerank", str(lists), "--model", str(model), "--method", method, "--quiet"]
    assert main([*arguments, "--heads", str(tmp_path / "heads.json")]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["docs"][0]["id"] == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_three_lists_have_one_score_each(model, tmp_path, dtype):
    """Python, the command and the workflow, with what the heads say of type and budget.

    A job sets its number of threads; in float32 another number sums in another order.
    """
    torch.set_num_threads(1)
    made = load_model(model, layers=1)
    provenance = {"dtype": dtype, "model_digest": made.digest, "prompt": {"document_tokens": 12}}
    HeadSet(HEADS.heads, provenance).save(tmp_path / "heads.json")
    heads, lists = str(tmp_path / "heads.json"), lists_of(PASSAGES)
    ranker = HeadRanker.from_pretrained(model, heads, document_tokens="heads")
    python = by_python(ranker, lists)
    arguments = ["--model", str(model), "--heads", heads, "--document-tokens", "heads", "--quiet"]
    assert by_command(tmp_path, lists, arguments) == python
    prompt = {"document_tokens": 12}
    cut, folded = by_workflow(tmp_path, lists, model, heads, None, dtype, prompt)
    assert cut == python
    for query in python:
        np.testing.assert_allclose(list(folded[query].values()), list(cut[query].values()), 1e-5)


def asked(generator):
    """Return the listwise prompts of lists of three lengths as ids, and their answers' limits."""
    seen = []

    def write(_, prompts, most):
        seen.extend(zip(prompts, most, strict=True))
        return [[]] * len(prompts)

    lists = [as_candidates(QUERY, PASSAGES[:count]) for count in (4, 2, 3)]
    GenerativeMethod("listwise").rank(generator, lists, write=write)
    return zip(*seen, strict=True)


def test_answers_written_side_by_side_are_those_written_alone(model):
    generator = load_generator(model)
    prompts, most = asked(generator)
    alone = [greedy(generator, ids, limit) for ids, limit in zip(prompts, most, strict=True)]
    assert all(len(one) > 3 for one in alone)
    assert greedy_together(generator, prompts, most) == alone


def test_in_bfloat16_they_depart_only_where_two_tokens_are_nearly_as_likely(model):
    """A batch sums in another order, and bfloat16's 8 bits give logits near 16 steps of 1/8."""
    generator = load_generator(model, dtype="bfloat16")
    prompts, most = asked(generator)
    alone = [greedy(generator, ids, limit) for ids, limit in zip(prompts, most, strict=True)]
    together = greedy_together(generator, prompts, most)
    for ids, one, other in zip(prompts, alone, together, strict=True):
        # What a prompt is followed by is read alone in either way.
        assert one[0] == other[0]
        departs = [a != b for a, b in zip(one, other, strict=False)]
        if any(departs):
            same = departs.index(True)
            logits = next_logits(generator, [*ids, *one[:same]])[-1]
            assert logits[one[same]] - logits[other[same]] <= 0.25
