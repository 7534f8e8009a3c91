"""From labelled lists to heads and an adapter by commands, and what info tells of them."""

import json
import re

from headrank.cli import main
from headrank.data.heads import HeadSet
from headrank.ranker.ranker import HeadRanker
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import QUERIES, labelled, record, refused, write

# pytest finds a fixture by its name in the module that uses it.
heads = command_line.heads
model = command_line.model


def test_profile_align_rerank_info(tmp_path, capsys, model):
    path = write(tmp_path / "labelled.jsonl", [labelled(n) for n in range(8)])
    heads, adapter = str(tmp_path / "heads.json"), str(tmp_path / "adapter")
    own = ["--model", model, "--seed", "3", "--document-tokens", "12"]
    table = tmp_path / "profile.csv"
    assert main(["profile", path, *own, "-o", heads, "--count", "3", "--table", str(table)]) == 0
    assert "3 heads on 8 queries" in capsys.readouterr().err
    assert len(table.read_text().splitlines()) == 1 + tiny.LAYERS * tiny.HEADS
    selected = HeadSet.load(heads)
    assert selected.provenance["selection"]["entropy_weight"] == 0.1
    assert selected.provenance["prompt"]["document_tokens"] == 12
    training = ["align", path, "--model", model, "--heads", heads, "--epochs", "1"]
    assert main([*training, "--hold-out", "0.3", "-o", adapter]) == 0
    captured = capsys.readouterr()
    assert "epoch 1: nDCG@10" in captured.err
    assert "whole documents" not in captured.err  # they are cut, as the heads were selected
    assert captured.out == ""
    card = json.loads((tmp_path / "adapter/headrank.json").read_text())
    assert card["prompt"]["document_tokens"] == 12  # as the heads were selected
    lists = write(tmp_path / "lists.jsonl", [record(name) for name in QUERIES])
    for extra in ([], ["--merge"]):
        assert main(["rerank", lists, "--model", model, "--adapter", adapter, *extra]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["info", adapter, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["rank"], len(found["heads"])) == ("adapter", 8, 3)


def test_align_with_validation_lists(tmp_path, capsys, model, heads):
    path = write(tmp_path / "labelled.jsonl", [labelled(n) for n in range(4)])
    held = write(tmp_path / "held.jsonl", [labelled(n) for n in range(4, 6)])
    arguments = ["align", path, "--validation", held, "--model", model, "--heads", heads]
    arguments += ["--epochs", "1", "--scale", "max-logit"]
    arguments += ["--projections", "all", "--rank", "4", "--alpha", "6"]
    assert main([*arguments, "-o", str(tmp_path / "a"), "--quiet"]) == 0
    assert "training on whole documents; --document-tokens 64" in capsys.readouterr().err
    assert (tmp_path / "a/adapter_config.json").is_file()
    card = json.loads((tmp_path / "a/headrank.json").read_text(encoding="utf-8"))
    assert card["options"]["scale"] == "max-logit"
    lora = json.loads((tmp_path / "a/adapter_config.json").read_text(encoding="utf-8"))
    assert (lora["r"], lora["lora_alpha"]) == (4, 6)
    # A regular expression of the layers' parts.
    assert re.search(lora["target_modules"], "layers.0.mlp.up_proj")


def test_info_tells_what_a_path_holds(tmp_path, capsys, heads, model):
    HeadRanker.from_pretrained(model, heads, order="reversed").save_pretrained(tmp_path / "saved")
    for path, kind in ((tmp_path / "saved", "ranker"), (heads, "heads"), (model, "model")):
        assert main(["info", str(path)]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f'kind: "{kind}"')
    assert main(["info", str(tmp_path / "saved")]) == 0
    text = capsys.readouterr().out
    assert 'order: "reversed"' in text
    assert "  (2,3) 0" in text
    assert (
        main(["rerank", write(tmp_path / "l", [record()]), "--model", str(tmp_path / "saved")]) == 0
    )
    assert "no ranker, adapter, model folder" in refused(capsys, ["info", str(tmp_path / "x")])


def test_the_querys_tokens_alone_are_aligned_over_a_store_of_the_unaligned_model(
    tmp_path, capsys, model, heads
):
    path = write(tmp_path / "labelled.jsonl", [labelled(n) for n in range(8)])
    lists = write(tmp_path / "lists.jsonl", [record(name) for name in QUERIES])
    apart, adapter, store = (str(tmp_path / name) for name in ("apart.json", "adapter", "store"))
    asked = ["align", path, "--tokens", "query", "--epochs", "1", "-o", adapter, "--quiet"]
    told = refused(capsys, [*asked, "--model", model, "--heads", heads])
    assert "tokens is query, but layout joint is to be trained" in told
    profile = ["profile", path, "--model", model, "--layout", "block", "--count", "3"]
    assert main([*profile, "--document-tokens", "12", "-o", apart, "--quiet"]) == 0
    rerank = ["rerank", lists, "--model", model, "--store", store]

    def looked_up():
        capsys.readouterr()
        assert main(["info", store, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        return found["hits"] + found["misses"], found["misses"]

    assert main([*rerank, "--heads", apart]) == 0
    documents, new = looked_up()
    assert main([*asked, "--model", model, "--heads", apart]) == 0
    assert main([*rerank, "--adapter", adapter]) == 0
    assert looked_up() == (2 * documents, new)  # none was read anew
    told = refused(capsys, [*rerank, "--adapter", adapter, "--merge"])
    assert "trained with tokens: query" in told and "--merge" in told
