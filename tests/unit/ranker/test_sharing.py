"""Rankers on a hub: pushed in one commit, fetched into an empty cache, equal scores."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import yaml

from headrank.align.adapter import save_adapter
from headrank.cli import main
from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.models.card import record_model
from headrank.models.decoder import load_model
from headrank.ranker.model_card import check_results, model_card
from headrank.ranker.push import push_folder
from headrank.ranker.ranker import HeadRanker
from headrank.ranker.saved import read_card
from tests.helpers import hub as stand_in
from tests.helpers import models
from tests.helpers import tiny_models as tiny

MADE = {"profiling_queries": 30, "seed": 13, "selection": {"criterion": "graded", "heads": 3}}
HEADS = HeadSet((Head(2, 3), Head(0, 1), Head(1, 2)), MADE)
QUERY = "what does a policy pay"
BASE, REPO = "maker/base", "someone/my-ranker"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return an empty hub; its cache is empty, too."""
    with stand_in.serving() as (hub, url):
        hub.url = url
        stand_in.use(monkeypatch, url, tmp_path / "cache")
        yield hub


@pytest.fixture
def elsewhere(hub, tmp_path, monkeypatch):
    """Return a call that moves to another machine: an empty cache, and nothing asked yet."""

    def move():
        stand_in.use(monkeypatch, hub.url, tmp_path / "another-cache")
        hub.asked.clear()

    return move


def adapter_of(base, folder, **card):
    """Write an adapter whose weights are far from zero; return its folder."""
    loaded = load_model(base, layers=3)
    wrapped = models.with_adapter(loaded, HEADS)
    save_adapter(wrapped, folder, HEADS, {"model_digest": loaded.digest, **card})
    return folder


def order(ranker):
    return [(one.doc_id, one.score) for one in ranker.rerank(QUERY, tiny.TEXTS)]


def test_a_pushed_ranker_comes_back_from_the_hub(hub, tmp_path, elsewhere):
    pinned = hub.add(BASE, tiny.folder("qwen3"))
    adapter = adapter_of(BASE, tmp_path / "adapter")
    mine = HeadRanker.from_pretrained(BASE, adapter=adapter, order="first-stage", seed=5)
    commit = mine.push_to_hub(REPO, license="apache-2.0", private=True, message="First heads")
    made = hub.repositories[REPO]
    assert [one[2] for one in made.commits] == ["initial commit", "First heads"]
    assert commit == made.commits[-1][0] and made.private
    wanted = {"README.md", "ranker.json", "heads.json"} | {
        f"adapter/{path.name}" for path in adapter.iterdir()
    }
    assert set(made.commits[-1][1]) - {".gitattributes"} == wanted
    # Another model under the same name: the ranker keeps to its commit.
    hub.add(BASE, tiny.folder("llama"))
    elsewhere()
    again = HeadRanker.from_pretrained(REPO)
    assert order(again) == order(mine)
    assert (again.options, again.revision) == (mine.options, pinned)
    cached = tmp_path / f"another-cache/models--someone--my-ranker/snapshots/{commit}"
    fetched = {p.relative_to(cached).as_posix() for p in cached.rglob("*") if p.is_file()}
    assert fetched == wanted - {"README.md"}
    again.save_pretrained(tmp_path / "kept")
    kept = read_card(tmp_path / "kept")["model"]
    assert (kept["path"], kept["revision"]) == (BASE, pinned)


def test_a_ranker_is_read_from_the_cache_where_there_is_no_network(hub, monkeypatch):
    hub.add(BASE, tiny.folder("qwen3"))
    mine = HeadRanker.from_pretrained(BASE, HEADS)
    first = mine.push_to_hub(REPO)
    assert order(HeadRanker.from_pretrained(REPO)) == order(mine)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert order(HeadRanker.from_pretrained(REPO)) == order(mine)
    assert order(HeadRanker.from_pretrained(REPO, revision=first)) == order(mine)
    assert hub.asked == []
    with pytest.raises(HeadRankError, match="cannot be pushed: HF_HUB_OFFLINE forbids") as error:
        mine.push_to_hub(REPO)
    assert "\n" not in str(error.value)
    with pytest.raises(HeadRankError, match=r"no model or saved ranker can be loaded.*HF_HUB_OFF"):
        HeadRanker.from_pretrained("someone/else")


def test_a_base_model_in_a_folder_is_fetched_from_where_it_came(hub, tmp_path, elsewhere):
    commit = hub.add(BASE, tiny.folder("qwen3"))
    model = shutil.copytree(tiny.folder("qwen3"), tmp_path / "secret-place/base")
    record_model(model, {"kind": "huggingface", "repository": BASE, "revision": commit})
    mine = HeadRanker.from_pretrained(model, HEADS)
    mine.push_to_hub(REPO)
    hub.add(BASE, tiny.folder("llama"))
    files = hub.repositories[REPO].commits[-1][1]
    assert not any(b"secret-place" in data or b"/tmp" in data for data in files.values())
    elsewhere()
    again = HeadRanker.from_pretrained(REPO)
    assert order(again) == order(mine)
    again.push_to_hub("someone/copy")  # its base lies in the cache now
    pushed = json.loads(hub.repositories["someone/copy"].commits[-1][1]["ranker.json"])
    assert pushed["model"]["origin"] == f"{BASE} at {commit}"


def test_a_base_model_of_unknown_origin_is_asked_for(hub, tmp_path, elsewhere):
    model = shutil.copytree(tiny.folder("qwen3"), tmp_path / "base")
    mine = HeadRanker.from_pretrained(model, HEADS)
    mine.push_to_hub(REPO)
    elsewhere()
    with pytest.raises(HeadRankError, match=r"someone/my-ranker: its base model was the folder 'b"):
        HeadRanker.from_pretrained(REPO)
    assert order(HeadRanker.from_pretrained(REPO, model=model)) == order(mine)
    with pytest.raises(HeadRankError, match=r"someone/my-ranker: the ranker was saved on weights"):
        HeadRanker.from_pretrained(REPO, model=tiny.folder("llama"))
    card = hub.repositories[REPO].commits[-1][1]["README.md"].decode()
    assert "base_model" not in card
    assert 'from_pretrained("someone/my-ranker", model="path/to/base")' in card


def test_a_model_of_the_hub_is_still_a_model(hub):
    hub.add(BASE, tiny.folder("qwen3"))
    local = HeadRanker.from_pretrained(tiny.folder("qwen3"), HEADS)
    assert order(HeadRanker.from_pretrained(BASE, HEADS)) == order(local)


def test_what_an_earlier_push_left_goes_in_the_same_commit(hub, tmp_path):
    hub.add(BASE, tiny.folder("qwen3"))
    adapter = adapter_of(BASE, tmp_path / "adapter")
    HeadRanker.from_pretrained(BASE, adapter=adapter).push_to_hub(REPO)
    made = hub.repositories[REPO]
    made.commit({**made.commits[-1][1], "notes.txt": b"mine"})
    HeadRanker.from_pretrained(BASE, HEADS).push_to_hub(REPO)
    assert len(made.commits) == 4
    assert set(made.commits[-1][1]) == {
        *(".gitattributes", "README.md", "heads.json", "notes.txt", "ranker.json")
    }


def test_a_push_that_cannot_be_is_one_clear_line(hub, tmp_path):
    saved = tmp_path / "saved"
    HeadRanker.from_pretrained(tiny.folder("qwen3"), HEADS).save_pretrained(saved)
    hub.add("someone/model", tiny.folder("llama"))
    push_folder(saved, "someone/public")
    for repo, settings, message in (
        ("my-ranker", {}, "not the name of a hub repository; write owner/name"),
        ("someone/model", {}, r"no saved ranker's \(chat_template"),
        ("someone/public", {"private": True}, "is public, and `private` is asked for"),
        (REPO, {"results": [{"metric": "nDCG"}]}, "entry 0: .* give metric and value"),
    ):
        with pytest.raises(HeadRankError, match=message):
            push_folder(saved, repo, **settings)
    assert REPO not in hub.repositories
    assert [len(one.commits) for one in hub.repositories.values()] == [1, 2]
    hub.refusal = 403
    with pytest.raises(HeadRankError, match=r"log in with `hf auth login`.*no file") as error:
        push_folder(saved, REPO)
    assert "\n" not in str(error.value)
    with pytest.raises(HeadRankError, match="no saved ranker"):
        push_folder(tmp_path, REPO)


def test_a_repository_that_is_not_there_is_told_once(hub):
    with pytest.raises(HeadRankError, match="the hub has no such repository") as error:
        HeadRanker.from_pretrained(REPO, HEADS)
    assert "\n" not in str(error.value) and len(hub.asked) == 1


def test_the_command_pushes_a_folder(hub, tmp_path, capsys):
    HeadRanker.from_pretrained(tiny.folder("qwen3"), HEADS).save_pretrained(tmp_path / "saved")
    numbers = tmp_path / "results.json"
    numbers.write_text('[{"metric": "nDCG@10", "value": 0.5, "queries": 27}]')
    arguments = ["push", str(tmp_path / "saved"), REPO, "--license", "mit", "--private"]
    assert main([*arguments, "--results", str(numbers)]) == 0
    made = hub.repositories[REPO]
    assert capsys.readouterr().out == f"{REPO} {made.commits[-1][0]}\n"
    assert made.private and b"| nDCG@10 | 0.5 | 27 |" in made.commits[-1][1]["README.md"]
    numbers.write_text('{"metric": "nDCG@10"}')
    assert main([*arguments, "--results", str(numbers)]) == 1
    assert "results is a dict; give a list" in capsys.readouterr().err


def test_an_adapter_without_its_extra_is_told_in_one_line(tmp_path, monkeypatch):
    adapter = adapter_of(tiny.folder("qwen3"), tmp_path / "adapter")
    monkeypatch.delitem(sys.modules, "headrank.align.adapter")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(HeadRankError, match=r"needs the package peft, .*pip install .*extra align"):
        HeadRanker.from_pretrained(tiny.folder("qwen3"), adapter=adapter)


def card_text(folder, **settings):
    text = model_card(folder, read_card(folder), REPO, **settings)
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_model_card_tells_what_the_files_tell(tmp_path):
    known = {"labelled_queries": 40, "pairs": 120, "seed": 3, "best_epoch": 2}
    known |= {"validation_ndcg@10": 0.61234, "provenance": {"training": ["mine-train"]}}
    adapter = adapter_of(tiny.folder("qwen3"), tmp_path / "adapter", **known)
    (adapter / "validation.csv").write_text("epoch,ndcg@10,queries\n0,0.55,17\n2,0.61234,17\n")
    ranker = HeadRanker.from_pretrained(tiny.folder("qwen3"), HEADS, adapter)
    ranker.save_pretrained(tmp_path / "saved")
    results = check_results([{"metric": "nDCG@10", "value": 0.58, "collection": "a|b\n# c"}])
    front, body = card_text(tmp_path / "saved", results=results, license="apache-2.0")
    assert front == {
        "library_name": "headrank",
        "license": "apache-2.0",
        "pipeline_tag": "text-ranking",
        "tags": ["headrank", "reranking", "attention"],
    }
    assert "nDCG@10 on 17 held-out queries: 0.6123 with the adapter, 0.5500 without it" in body
    for row in (
        "| heads (layer.head, from 0) | 2.3, 0.1, 1.2 |",
        "| queries of the profile | 30 |",
        "| selection: criterion | graded |",
        "| training sets | mine-train |",
        "| labelled queries | 40 |",
        r"| a\|b # c | nDCG@10 | 0.58 | not given |  |",
    ):
        assert row in body
    assert "The file of heads names no collection." in body


def test_the_model_card_invents_nothing(tmp_path):
    ranker = HeadRanker.from_pretrained(tiny.folder("qwen3"), HeadSet(HEADS.heads))
    ranker.save_pretrained(tmp_path / "heads")
    front, body = card_text(tmp_path / "heads")
    assert not {"license", "base_model"} & set(front)
    assert "## How the heads were found\n\nNot recorded.\n" in body
    assert "## Results given by the author\n\nNone were given.\n" in body
    assert "Training" not in body and "nDCG" not in body
    adapter = adapter_of(tiny.folder("qwen3"), tmp_path / "adapter")
    ranker = HeadRanker.from_pretrained(tiny.folder("qwen3"), adapter=adapter)
    ranker.save_pretrained(tmp_path / "aligned")
    _, body = card_text(tmp_path / "aligned")
    assert "No validation is recorded." in body and "nDCG" not in body


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"metric": 1}, "results is a dict"),
        ([{"metric": "a", "value": True}], "value is True; give a finite number"),
        ([{"metric": "a", "value": float("nan")}], "value is nan"),
        ([{"metric": "a", "value": 1, "queries": 0}], "queries is 0; give a number from 1"),
        ([{"metric": "a", "value": 1, "n": 3}], "give metric and value"),
    ],
)
def test_results_that_cannot_be_used_are_refused(results, message):
    with pytest.raises(HeadRankError, match=message):
        check_results(results)


def test_a_card_without_its_parts_is_refused(tmp_path):
    HeadRanker.from_pretrained(tiny.folder("qwen3"), HEADS).save_pretrained(tmp_path / "saved")
    path = tmp_path / "saved/ranker.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, "model": {}}))
    with pytest.raises(HeadRankError, match=r"ranker\.json: model\.path is missing"):
        HeadRanker.from_pretrained(tmp_path / "saved")
    path.write_text(json.dumps({key: value for key, value in card.items() if key != "sha256"}))
    with pytest.raises(HeadRankError, match=r"ranker\.json: sha256 is missing"):
        HeadRanker.from_pretrained(tmp_path / "saved")
