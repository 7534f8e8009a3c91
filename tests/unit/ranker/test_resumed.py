"""The name of a checkpoint of rankings: it tells all that decides a score."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.ranker.ranker import HeadRanker
from headrank.ranker.resumed import ranking_checkpoint
from headrank.reading import job_settings
from tests.helpers import tiny_models as tiny
from tests.helpers.rankers import HEADS

LISTS = [tiny.candidates(query_id=name) for name in ("q1", "q2")]


def name(folder, lists=LISTS, code="1", **settings):
    ranker = HeadRanker.from_pretrained(folder, **{"heads": HEADS} | settings)
    return ranking_checkpoint(ranker, lists, "begun", code).path.name


def edited(folder, target, file, change):
    """Return a copy of a model whose file of JSON is changed."""
    shutil.copytree(folder, target)
    path = target / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return target


@pytest.mark.parametrize(
    "settings",
    [
        {"heads": HeadSet((Head(2, 3), Head(0, 1)))},
        {"dtype": "bfloat16"},
        {"method": "icr"},
        {"fold": {"aggregation": "mean-z"}},
        {"prompt": {"instruction": "Another?"}},
        {"document_tokens": 9},
        {"order": "reversed"},
        {"seed": 14},
        {"window": 3},
        {"code": "2"},
        {"lists": [tiny.candidates(query_id="q1"), tiny.candidates("another query", "q2")]},
        {"lists": LISTS[:1]},
    ],
    ids=str,
)
def test_other_settings_have_another_name(settings):
    folder = tiny.folder("qwen3")
    assert name(folder) == name(folder)
    assert name(folder, **settings) != name(folder)


def test_another_model_has_another_name(tmp_path):
    folder = tiny.folder("gemma3")
    whole = name(folder)
    layers = ["full_attention"] * tiny.LAYERS
    for number, (file, change) in enumerate(
        (
            ("config.json", {"layer_types": layers}),
            ("config.json", {"rms_norm_eps": 0.01}),
            ("tokenizer.json", {"normalizer": {"type": "Lowercase"}}),
        )
    ):
        assert name(edited(folder, tmp_path / str(number), file, change)) != whole, change
    shutil.copytree(folder, tmp_path / "chat")
    (template,) = (tmp_path / "chat").glob("*.jinja")
    template.write_text(template.read_text().replace("<|im_end|>", "<|im_end|>\n"))
    assert name(tmp_path / "chat") != whole
    shutil.copytree(folder, tmp_path / "weights")
    path = tmp_path / "weights/model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"] += 1
    save_file(weights, path, {"format": "pt"})
    assert name(tmp_path / "weights") != whole


def test_other_threads_and_packages_have_another_name(monkeypatch, number_of_threads):
    folder = tiny.folder("qwen3")
    whole = name(folder)
    torch.set_num_threads(torch.get_num_threads() + 1)
    other = name(folder)
    assert other != whole
    monkeypatch.setattr(job_settings, "versions", lambda: {"torch": "1"})
    assert name(folder) not in (whole, other)


def test_a_ranker_with_a_store_has_no_checkpoint(tmp_path):
    with pytest.raises(HeadRankError, match="a ranker with a store has no checkpoint"):
        name(tiny.folder("qwen3"), store=tmp_path / "store", prompt={"layout": "block"})
