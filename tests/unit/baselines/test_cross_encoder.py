"""The cross-encoder: scores of transformers' own forward, one pair at a time."""

import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel

from headrank.baselines.cross_encoder import CrossEncoder
from headrank.data.candidates import CandidateList, Passage
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.timing.systems import cross_system
from tests.helpers import models

LISTS = [
    models.candidates(query_id="q1"),
    CandidateList(
        "q2",
        "do dogs bark",
        ("t1", "d2", "t2"),
        (Passage("A title", "and a text"), Passage("", models.TEXTS[2]), Passage("Only", "")),
    ),
]
TEXTS = {"q1": list(models.TEXTS[:6]), "q2": ["A title\nand a text", models.TEXTS[2], "Only"]}


def save(folder, labels, kind=BertForSequenceClassification):
    """Save a tiny random classifier with 64 positions; return its folder."""
    config = BertConfig(
        vocab_size=models.VOCABULARY,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        num_labels=labels,
    )
    model = kind(config)
    models.randomise(model, 0)
    model.save_pretrained(folder)
    models.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[1, 2])
def classifier(request, tmp_path_factory):
    return save(tmp_path_factory.mktemp("classifier"), request.param)


def expected(folder, query, text, max_tokens):
    """Return one pair's score by a forward of its own, without padding."""
    model = BertForSequenceClassification.from_pretrained(folder).double().eval()
    tokens = models.tokenizer()(
        query, text, truncation=True, max_length=max_tokens, return_tensors="pt"
    )
    with torch.no_grad():
        logits = model(**tokens).logits[0]
    return float(logits[0] if len(logits) == 1 else logits[1] - logits[0])


@pytest.mark.parametrize("max_tokens", [64, 12])
@pytest.mark.parametrize("batch", [1, 4])
def test_scores_are_those_of_each_pair_alone(classifier, max_tokens, batch):
    encoder = CrossEncoder(classifier, max_tokens=max_tokens, batch=batch)
    for one in LISTS:
        made = encoder.score(one)
        wanted = [expected(classifier, one.query, t, max_tokens) for t in TEXTS[one.query_id]]
        assert made.scores == pytest.approx(wanted, abs=1e-5)
        assert np.ptp(made.scores) > 1e-3
        assert made.batches == -(-len(wanted) // batch)
        assert made.tokens <= max_tokens * len(wanted)


def test_the_run_holds_every_list(classifier, tmp_path):
    encoder = CrossEncoder(classifier, max_tokens=64)
    encoder.run(LISTS, "mono").save(tmp_path / "mono.run")
    run = Run.load(tmp_path / "mono.run")
    assert run.name == "mono"
    for one in LISTS:
        scores = dict(zip(one.doc_ids, encoder.score(one).scores.tolist(), strict=True))
        assert dict(run.rankings[one.query_id]) == scores
    work = cross_system(encoder)(LISTS[0])
    assert (work.passes, work.tokens) == (1, encoder.score(LISTS[0]).tokens)


def test_without_a_padding_token_pairs_go_one_by_one(tmp_path):
    save(tmp_path, 1)
    padded = CrossEncoder(tmp_path, max_tokens=64).score(LISTS[0])
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"pad_token_id": None}))
    single = CrossEncoder(tmp_path, max_tokens=64).score(LISTS[0])
    assert (padded.batches, single.batches) == (1, 6)
    assert single.scores == pytest.approx(padded.scores, abs=1e-5)
    assert single.tokens == padded.tokens


def test_what_is_no_relevance_classifier_is_refused(tmp_path):
    with pytest.raises(HeadRankError, match="no classifier can be loaded"):
        CrossEncoder(tmp_path, max_tokens=64)
    three = save(tmp_path / "three", 3)
    with pytest.raises(HeadRankError, match="has 3 labels; a relevance model has 1, or 2"):
        CrossEncoder(three, max_tokens=64)
    # transformers would give a plain encoder a random classifier.
    plain = save(tmp_path / "plain", 1, BertModel)
    with pytest.raises(HeadRankError, match=r"2 weights are missing, first classifier\.bias"):
        CrossEncoder(plain, max_tokens=64)


def test_more_tokens_than_positions_are_refused(classifier):
    with pytest.raises(HeadRankError, match="max_tokens is 65, the encoder has 64"):
        CrossEncoder(classifier, max_tokens=65)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_named(classifier):
    with pytest.raises(HeadRankError, match="device 'cuda': no CUDA device is visible"):
        CrossEncoder(classifier, max_tokens=64, device="cuda")
