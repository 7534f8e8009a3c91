"""Rankers saved, moved and loaded again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from headrank.data.heads import every_head
from headrank.errors import HeadRankError
from headrank.models.card import record_model
from headrank.options.fold import Fold
from headrank.options.prompt import PromptOptions
from headrank.ranker.options import METHODS
from headrank.ranker.ranker import HeadRanker
from tests.helpers import tiny_models as tiny
from tests.helpers.rankers import HEADS, QUERY, ranker


@pytest.mark.parametrize("with_adapter", [False, True])
def test_a_saved_ranker_comes_back_the_same(tmp_path, adapter, with_adapter):
    settings = {"method": "core", "order": "shuffled-2", "seed": 5, "window": 4}
    if with_adapter:
        settings |= {"adapter": adapter, "heads": None}
    else:
        settings |= {"prompt": PromptOptions(document_tokens=9), "fold": Fold(calibrate=True)}
    first = ranker(**settings)
    first.save_pretrained(tmp_path / "saved")
    second = HeadRanker.from_pretrained(tmp_path / "saved")
    assert second.options == first.options
    assert second.heads.pairs == first.heads.pairs
    assert second.rerank(QUERY, tiny.TEXTS) == first.rerank(QUERY, tiny.TEXTS)
    second.save_pretrained(tmp_path / "saved")  # over itself
    third = HeadRanker.from_pretrained(tmp_path / "saved", order="reversed")
    assert third.options.order == "reversed"
    assert third.options.seed == 5
    assert third.options.fold == first.options.fold
    fourth = HeadRanker.from_pretrained(tmp_path / "saved", method="headrank")
    assert fourth.options.fold == METHODS["headrank"]


def test_a_saved_ranker_names_its_model(tmp_path):
    ranker("llama").save_pretrained(tmp_path / "saved")
    card = json.loads((tmp_path / "saved" / "ranker.json").read_text())
    noted = card["model"]["path"]
    assert not Path(noted).is_absolute()
    assert (tmp_path / "saved" / noted).resolve() == tiny.folder("llama").resolve()
    assert len(card["model"]["digest"]) == 64
    copy = shutil.copytree(tiny.folder("llama"), tmp_path / "moved")
    moved = HeadRanker.from_pretrained(tmp_path / "saved", model=copy)
    assert moved.rerank(QUERY, tiny.TEXTS) == ranker("llama").rerank(QUERY, tiny.TEXTS)
    with pytest.raises(HeadRankError, match=r"saved on weights .* give its own base model"):
        HeadRanker.from_pretrained(tmp_path / "saved", model=tiny.folder("qwen2"))


def test_a_saved_ranker_moves_with_its_model(tmp_path):
    """A copy on another machine, here the same two folders below another one."""
    (tmp_path / "here").mkdir()
    model = shutil.copytree(tiny.folder("llama"), tmp_path / "here/model")
    first = HeadRanker.from_pretrained(model, HEADS)
    first.save_pretrained(tmp_path / "here/rankers/mine")
    for path in (tmp_path / "here/rankers/mine").rglob("*.json"):
        assert str(tmp_path) not in path.read_text()
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = HeadRanker.from_pretrained(tmp_path / "there/rankers/mine")
    assert moved.rerank(QUERY, tiny.TEXTS) == first.rerank(QUERY, tiny.TEXTS)
    shutil.move(tmp_path / "there/model", tmp_path / "model")
    message = r"its base model is not at .*there/model; give its folder with `model`"
    with pytest.raises(HeadRankError, match=message):
        HeadRanker.from_pretrained(tmp_path / "there/rankers/mine")
    card = tmp_path / "there/rankers/mine/ranker.json"
    noted = json.loads(card.read_text())
    noted["model"] = {**noted["model"], "path": "../../model", "origin": "org/name at 123"}
    card.write_text(json.dumps(noted))
    with pytest.raises(HeadRankError, match="; it is org/name at 123"):
        HeadRanker.from_pretrained(tmp_path / "there/rankers/mine")
    del noted["model"]["origin"]  # earlier versions noted an absolute path alone
    noted["model"]["path"] = str(tmp_path / "model")
    card.write_text(json.dumps(noted))
    again = HeadRanker.from_pretrained(tmp_path / "there/rankers/mine")
    assert again.rerank(QUERY, tiny.TEXTS) == first.rerank(QUERY, tiny.TEXTS)


def test_a_model_of_the_hub_is_told_by_its_repository(tmp_path):
    model = shutil.copytree(tiny.folder("llama"), tmp_path / "model")
    source = {"kind": "huggingface", "repository": "org/name", "revision": "0" * 40}
    record_model(model, source)
    HeadRanker.from_pretrained(model, HEADS).save_pretrained(tmp_path / "saved")
    card = json.loads((tmp_path / "saved/ranker.json").read_text())
    assert card["model"]["origin"] == f"org/name at {'0' * 40}"


def test_a_ranker_is_saved_over_no_file_of_a_users(tmp_path):
    one = ranker()
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(HeadRankError, match=r"did not write \(thesis\.tex\)"):
        one.save_pretrained(tmp_path)
    one.save_pretrained(tmp_path / "saved")
    one.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved/notes").write_text("mine")
    with pytest.raises(HeadRankError, match=r"did not write \(notes\)"):
        one.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved/notes").read_text() == "mine"
    assert [path.name for path in tmp_path.glob("*.tex")] == ["thesis.tex"]


def test_a_changed_saved_ranker_is_refused(tmp_path):
    ranker().save_pretrained(tmp_path / "saved")
    every_head(1, 2).save(tmp_path / "saved" / "heads.json")
    with pytest.raises(HeadRankError, match=r"heads\.json: missing or changed"):
        HeadRanker.from_pretrained(tmp_path / "saved")
