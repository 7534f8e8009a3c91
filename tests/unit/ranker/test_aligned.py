"""Rankers with an adapter: their scores, prompt and fold."""

from __future__ import annotations

import json
import shutil

import numpy as np

from headrank.align.adapter import load_adapter
from headrank.data.heads import HeadSet
from headrank.heads.fold import fold
from headrank.models.decoder import load_model
from headrank.options.fold import Fold
from headrank.options.prompt import PromptOptions
from headrank.ranker.options import METHODS
from headrank.ranker.ranker import HeadRanker
from headrank.reading.lists import read_list
from headrank.reading.prompt import PromptBuilder
from headrank.reading.recording import ReadOptions
from tests.helpers import tiny_models as tiny
from tests.helpers.rankers import HEADS, QUERY, by_place, ranker


def test_an_adapter_changes_scores_and_merging_does_not(adapter):
    frozen = ranker(prompt=PromptOptions(instruction="Rank."))
    loaded = HeadRanker.from_pretrained(tiny.folder("qwen3"), adapter=adapter, order="first-stage")
    merged = HeadRanker.from_pretrained(
        tiny.folder("qwen3"), adapter=adapter, order="first-stage", merge=True
    )
    assert loaded.options.prompt.instruction == "Rank."  # as it was trained
    assert loaded.heads.pairs == HEADS.pairs
    before, after = (by_place(one.rerank(QUERY, tiny.TEXTS)) for one in (frozen, loaded))
    assert np.abs(before - after).max() > 1e-3
    np.testing.assert_allclose(by_place(merged.rerank(QUERY, tiny.TEXTS)), after, rtol=1e-5)
    assert not any("lora" in name for name, _ in merged.model.decoder.named_modules())
    assert any("lora" in name for name, _ in loaded.model.decoder.named_modules())


def test_an_adapter_scores_as_the_full_reading_with_it(adapter):
    full = load_model(tiny.folder("qwen3"))
    load_adapter(full, adapter)
    builder = PromptBuilder(full.tokenizer, PromptOptions(instruction="Rank."), full.context)
    reading, _ = read_list(full, builder, tiny.candidates(), ReadOptions(calibrate=False))
    mine = HeadRanker.from_pretrained(tiny.folder("qwen3"), adapter=adapter, order="first-stage")
    (ranking,) = mine.rerank_lists([tiny.candidates()])
    expected = fold(reading, HEADS, METHODS["headrank"])
    np.testing.assert_allclose(by_place(ranking), expected, rtol=1e-5)


def test_the_prompt_of_the_heads_profile_goes_before_the_adapters(adapter):
    heads = HeadSet(HEADS.heads, {"prompt": {"document_tokens": 7}})
    mine = HeadRanker.from_pretrained(tiny.folder("qwen3"), heads, adapter)
    assert mine.options.prompt == PromptOptions(document_tokens=7)


def test_an_adapter_trained_on_largest_logits_ranks_by_them(adapter, tmp_path):
    folder = shutil.copytree(adapter, tmp_path / "adapter")
    card = json.loads((folder / "headrank.json").read_text(encoding="utf-8"))
    card["options"] = {"scale": "max-logit"}
    (folder / "headrank.json").write_text(json.dumps(card), encoding="utf-8")

    def fold(**settings):
        model = tiny.folder("qwen3")
        return HeadRanker.from_pretrained(model, adapter=folder, **settings).options.fold

    assert fold() == fold(method="headrank") == Fold(aggregation="max-logit")
    assert fold(fold=Fold()) == Fold()
    assert fold(method="icr") == Fold(calibrate=True, outliers=True)
