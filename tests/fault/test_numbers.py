"""Lists of 0, 1 or 500 documents and weights that are no numbers."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from headrank.data.candidates import CandidateList, Passage
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.evaluation.measures import evaluate
from headrank.heads.fold import fold
from headrank.models.decoder import load_model
from headrank.options.fold import Fold
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading.lists import read_list
from headrank.reading.prompt import PromptBuilder
from headrank.reading.recording import ReadOptions
from tests.helpers.models import save


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a random model with room for 1024 tokens."""
    return save(tmp_path_factory.mktemp("model") / "tiny", max_position_embeddings=1024)


def candidates(documents: int) -> CandidateList:
    names = tuple(f"d{n}" for n in range(documents))
    texts = tuple(Passage("", f"Passage number {n} is about cover.") for n in range(documents))
    return CandidateList("q1", "what is covered", names, texts)


def test_a_list_of_none_is_refused_and_counts_as_zero(folder):
    model = load_model(folder)
    builder = PromptBuilder(model.tokenizer, PromptOptions(), model.context)
    with pytest.raises(HeadRankError, match="q1"):
        read_list(model, builder, candidates(0))
    # A query that the first stage found nothing for is judged all the same.
    qrels = Qrels({"q0": {"d1": 1}, "q1": {"d1": 1}})
    found = evaluate(Run({"q1": [("d1", 1.0)]}), qrels, ["nDCG@10"])
    assert dict(zip(found["query"], found["value"], strict=True)) == {"q0": 0.0, "q1": 1.0}


def test_a_list_of_one_is_read(folder):
    model = load_model(folder)
    builder = PromptBuilder(model.tokenizer, PromptOptions(), model.context)
    reading, _ = read_list(model, builder, candidates(1), ReadOptions(keep_tokens=True))
    assert reading.query.shape[-1] == 1
    for options in (Fold(), Fold(calibrate=True, outliers=True), Fold(aggregation="log-sum")):
        scores = fold(reading, None, options)
        assert scores.shape == (1,) and np.isfinite(scores).all()


def test_a_list_of_five_hundred_is_refused_by_the_context_and_read_in_windows(folder):
    texts = [passage.text for passage in candidates(500).passages]
    with pytest.raises(HeadRankError, match=r"500 documents do not fit .*context of 1024 .*fewer"):
        HeadRanker.from_pretrained(folder, method="icr").rerank("what is covered", texts)
    ranked = HeadRanker.from_pretrained(folder, method="icr", window=10).rerank(
        "what is covered", texts
    )
    assert sorted(entry.index for entry in ranked) == list(range(500))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, value):
    own = save(tmp_path / "tiny")
    weights = load_file(own / "model.safetensors")
    name = next(name for name in sorted(weights) if "q_proj" in name)
    weights[name][1, 2] = torch.tensor(value)
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(HeadRankError, match=r"q_proj.* NaN or infinity; fetch or convert"):
        load_model(own)
