"""Head sets that others published: the data, their names, and the models that they fit."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from headrank.cli import main
from headrank.errors import HeadRankError
from headrank.heads import named
from headrank.heads.named import check_published, load_heads, published_heads
from headrank.models.safe_loading import SUPPORTED
from headrank.ranker.ranker import HeadRanker
from tests.helpers import models
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import record, refused, write

RESEARCH = Path(__file__).parents[4] / "shared/research/head_sets.json"
NAME = "qrhead-nq/llama-3.2-1b"
SHORT = {
    "llama-3.1-8b": "llama",
    "mistral-7b-v0.2": "mistral",
    "granite-3.2-8b": "granite",
    "qwen3-4b-instruct-2507": "qwen3-4b-2507",
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> str:
    """Return a tiny model of the shape of Llama 3.2 1B: 16 layers of 32 heads."""
    folder = tmp_path_factory.mktemp("named") / "llama-shape"
    changes = {"num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8}
    return str(models.save(folder, "llama", hidden_size=128, **changes))


@pytest.mark.parametrize("name", published_heads())
def test_every_set_fits_the_shape_that_it_names(name):
    one = published_heads()[name]
    assert one.name == name and one.model.count("/") == 1
    assert one.model_type in SUPPORTED
    assert len(one.pairs) in (8, 16, 32)
    one.head_set().check_model(one.layers, one.heads)
    assert one.source.startswith("https://") and one.found
    assert one.verified or one.cautions


@pytest.fixture(scope="module")
def research() -> dict:
    """Return the known head sets by their names in the research's file."""
    if not RESEARCH.is_file():
        pytest.skip("the research's file of head sets is not beside this checkout")
    return json.loads(RESEARCH.read_text())


def known_as(name: str, research: dict) -> str:
    """Return how the research's file calls one of our sets."""
    family, _, short = name.partition("/")
    return name if name in research else f"{family}/{SHORT[short]}"


def test_every_known_set_is_here_or_of_a_model_that_is_not_read(research):
    ours = {known_as(name, research) for name in published_heads()}
    absent = research.keys() - ours
    # phi-4's architecture is phi3: one projection makes its queries, keys and values.
    assert {research[name]["model"] for name in absent} == {"microsoft/phi-4"}
    assert "phi3" not in SUPPORTED
    assert len(ours) == len(published_heads()) == 22 and len(absent) == 2


@pytest.mark.parametrize("name", published_heads())
def test_the_lists_are_those_of_the_research(name, research):
    known = research[known_as(name, research)]
    one = published_heads()[name]
    assert [list(pair) for pair in one.pairs] == known["heads"]
    assert (one.layers, one.heads) == (known["layers"], known["query_heads"])
    assert one.model == known["model"].replace("Meta-Llama", "Llama")


def test_python_and_command_read_a_named_set(llama, tmp_path, capsys, caplog):
    with caplog.at_level(logging.WARNING):
        ranker = HeadRanker.from_pretrained(llama, heads=NAME)
    (warning,) = [one.getMessage() for one in caplog.records]
    assert NAME in warning and "revision of meta-llama/Llama-3.2-1B-Instruct" in warning
    assert ranker.heads.pairs == list(published_heads()[NAME].pairs)
    assert ranker.model.layers == published_heads()[NAME].deepest + 1 == 12
    query = "what does a policy pay"
    expected = [(p.doc_id, p.score) for p in ranker.rerank(query, tiny.TEXTS, query_id="q0")]
    docs = [{"id": str(i), "text": text} for i, text in enumerate(tiny.TEXTS)]
    path = write(tmp_path / "lists.jsonl", [record("q0") | {"query": query, "docs": docs}])
    assert main(["rerank", path, "--model", llama, "--heads", NAME, "--quiet"]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(one["id"], one["score"]) for one in line["docs"]] == expected
    # A bare list of the same pairs gives the same scores by the same method.
    assert ranker.options.method == published_heads()[NAME].method == "qrhead"
    bare = [{"layer": layer, "head": head} for layer, head in published_heads()[NAME].pairs]
    (tmp_path / "bare.json").write_text(json.dumps(bare))
    again = HeadRanker.from_pretrained(llama, heads=tmp_path / "bare.json", method="qrhead")
    assert [(p.doc_id, p.score) for p in again.rerank(query, tiny.TEXTS, query_id="q0")] == expected


def test_a_saved_ranker_keeps_the_origin_of_its_heads(llama, tmp_path):
    HeadRanker.from_pretrained(llama, heads=NAME).save_pretrained(tmp_path / "saved")
    again = HeadRanker.from_pretrained(tmp_path / "saved")
    assert again.heads.provenance["published"] == NAME
    assert again.heads.provenance["source"] == published_heads()[NAME].source


def test_a_set_of_another_shape_is_refused_with_both_shapes(llama, tmp_path, capsys):
    path = write(tmp_path / "lists.jsonl", [record("q0")])
    docs = [{"text": "good", "grade": 1}, {"text": "bad", "grade": 0}]
    judged = write(tmp_path / "judged.jsonl", [{"query": f"q {n}", "docs": docs} for n in range(9)])
    other = "qrhead-nq/llama-3.2-3b"
    for command in (
        ["rerank", path],
        ["align", judged, "-o", str(tmp_path / "adapter")],
    ):
        found = refused(capsys, [*command, "--model", llama, "--heads", other])
        assert "llama with 28 layers of 24 heads" in found
        assert f"{llama} is llama with 16 layers of 32 heads" in found
    # Llama 3.1 8B and Mistral 7B have one shape; their architectures differ.
    config = models.config("mistral", num_hidden_layers=32, num_attention_heads=32)
    with pytest.raises(HeadRankError, match="mistral with 32 layers of 32 heads"):
        check_published(load_heads("core/llama-3.1-8b"), "m", config)


def test_what_is_known_decides_what_is_warned_of(caplog):
    one = published_heads()[NAME]
    config = models.config("llama", num_hidden_layers=16, num_attention_heads=32)
    check_published(replace(one, revision="abc").head_set(), "m", config)
    assert not caplog.records
    check_published(replace(one, verified=False).head_set(), "m", config)
    assert "not verified" in caplog.text and "revision" in caplog.text


@pytest.mark.parametrize("command", ["rerank", "info"])
def test_a_name_with_a_slip_is_answered_with_the_right_one(tmp_path, capsys, llama, command):
    path = write(tmp_path / "lists.jsonl", [record("q0")])
    slip = "qrhed-nq/llama-3.2-1b"
    arguments = ["info", slip]
    if command == "rerank":
        arguments = ["rerank", path, "--model", llama, "--heads", slip]
    found = refused(capsys, arguments)
    assert f"did you mean '{NAME}'?" in found and "headrank info --published" in found


def test_a_file_comes_before_a_name_and_a_missing_file_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qrhead-nq").mkdir()
    Path(NAME).write_text('[{"layer": 0, "head": 1}]')
    assert load_heads(NAME).pairs == [(0, 1)]
    with pytest.raises(HeadRankError, match=r"heads/none\.json: no such file"):
        load_heads("heads/none.json")


def test_info_lists_the_sets_and_shows_one(capsys):
    assert main(["info", "--published"]) == 0
    out = capsys.readouterr().out
    for name, one in published_heads().items():
        (row,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
        assert one.model in row and f"{one.layers} x {one.heads}" in row
        assert all(note in out for note in one.cautions)
    assert main(["info", "--published", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == published_heads().keys()
    assert told[NAME]["pairs"] == [list(pair) for pair in published_heads()[NAME].pairs]
    assert main(["info", NAME]) == 0
    shown = capsys.readouterr().out
    assert "(8,21)\n" in shown and published_heads()[NAME].source in shown
    refused(capsys, ["info"], code=2)
    refused(capsys, ["info", NAME, "--published"], code=2)


def test_the_data_are_beside_the_module():
    found = sorted(Path(named.__file__).with_name(named.FOLDER).glob("*.json"))
    assert {file.stem for file in found} == {name.split("/")[0] for name in published_heads()}
