"""The dense control: cosines of mean-pooled embeddings, independent of batches and order."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertModel

from headrank.baselines.bi_encoder import dense_run
from headrank.data.candidates import CandidateList, Passage
from headrank.errors import HeadRankError
from tests.helpers import models


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Return the folder of a tiny random encoder with 64 positions."""
    return models.save_encoder(tmp_path_factory.mktemp("encoder"))


LISTS = [
    models.candidates(query_id="q1"),
    CandidateList(
        "q2",
        "do dogs bark",
        ("t1", "d2", "t2"),
        (Passage("A title", "and a text"), Passage("", models.TEXTS[2]), Passage("Only", "")),
    ),
]


def embed(folder, text, max_tokens):
    """Return one text's unit embedding, alone and without padding."""
    model = BertModel.from_pretrained(folder).eval()
    ids = models.tokenizer().encode(text)[:max_tokens]
    with torch.no_grad():
        states = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    vector = states.double().mean(0)
    return (vector / vector.norm()).numpy()


@pytest.mark.parametrize("max_tokens", [64, 5])
def test_scores_are_cosines_of_mean_embeddings(encoder, max_tokens):
    run = dense_run(encoder, LISTS, max_tokens=max_tokens, name="minilm")
    assert run.name == "minilm"
    texts = {f"d{i}": text for i, text in enumerate(models.TEXTS[:6])}
    texts |= {"t1": "A title\nand a text", "t2": "Only"}
    for one in LISTS:
        scores = dict(run.rankings[one.query_id])
        assert set(scores) == set(one.doc_ids)
        query = embed(encoder, one.query, max_tokens)
        for document, score in scores.items():
            expected = query @ embed(encoder, texts[document], max_tokens)
            assert score == pytest.approx(expected, abs=1e-5)
        assert np.ptp(list(scores.values())) > 0.01


def test_where_texts_are_cut_matters(encoder):
    long, short = (dense_run(encoder, LISTS, max_tokens=n).rankings for n in (64, 5))
    assert dict(long["q1"])["d1"] != pytest.approx(dict(short["q1"])["d1"], abs=1e-3)


@pytest.mark.parametrize("batch", [1, 3])
def test_scores_do_not_depend_on_the_batch_or_the_other_lists(encoder, batch):
    whole = dense_run(encoder, LISTS, max_tokens=64).rankings
    for one in LISTS:
        alone = dense_run(encoder, [one], max_tokens=64, batch=batch).rankings
        assert dict(alone[one.query_id]) == pytest.approx(dict(whole[one.query_id]), abs=1e-5)


def test_more_tokens_than_positions_are_refused(encoder):
    with pytest.raises(HeadRankError, match="max_tokens is 65, the encoder has 64"):
        dense_run(encoder, LISTS, max_tokens=65)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_named(encoder):
    with pytest.raises(HeadRankError, match="device 'cuda': no CUDA device is visible"):
        dense_run(encoder, LISTS, max_tokens=64, device="cuda")


def damaged(encoder, folder, change):
    """Return a copy of the encoder whose weights were changed."""
    folder.mkdir()
    for path in encoder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_an_encoder_that_is_not_whole_is_refused(encoder, tmp_path):
    name = "encoder.layer.1.output.dense.weight"
    folder = damaged(encoder, tmp_path / "a", lambda weights: weights.pop(name))
    with pytest.raises(HeadRankError, match=rf"1 weights are missing, first {name}"):
        dense_run(folder, LISTS, max_tokens=64)
    data = (encoder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(HeadRankError, match="no encoder can be loaded"):
        dense_run(folder, LISTS, max_tokens=64)
    with pytest.raises(HeadRankError, match="no encoder can be loaded"):
        dense_run(tmp_path / "nothing", LISTS, max_tokens=64)


def test_an_encoder_without_a_pooler_is_whole(encoder, tmp_path):
    def drop(weights):
        for name in [name for name in weights if name.startswith("pooler.")]:
            del weights[name]

    folder = damaged(encoder, tmp_path / "a", drop)
    assert dense_run(folder, LISTS, max_tokens=64) == dense_run(encoder, LISTS, max_tokens=64)


def test_weights_that_are_not_numbers_are_told(encoder, tmp_path):
    name = "encoder.layer.1.output.dense.weight"
    folder = damaged(encoder, tmp_path / "a", lambda weights: weights[name].fill_(float("nan")))
    with pytest.raises(HeadRankError, match=f"weights {name} hold NaN"):
        dense_run(folder, LISTS, max_tokens=64)
