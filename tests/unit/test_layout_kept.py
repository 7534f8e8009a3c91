"""Heads, adapters, training, the command and the config keep to the layout of the prompt."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from headrank.align import adapter
from headrank.cli import main
from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.fitting import AlignRecipe, LabelledQuery, align_heads, profile_heads
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading.layout import check_heads
from headrank.reading.prompt import PromptBuilder
from tests.helpers import alignment, models
from tests.helpers import tiny_models as tiny
from tests.helpers.base_config import BASE, changed, message

HEADS = HeadSet((Head(2, 3), Head(1, 0), Head(2, 1)))
BLOCK = PromptOptions(layout="block")


def examples(count, first=0):
    lists, qrels = alignment.task(count, first)
    return [
        LabelledQuery(
            f"what does policy {one.query_id} pay",
            one.passages,
            [max(0, qrels.grades[one.query_id].get(name, 0)) for name in one.doc_ids],
            one.query_id,
        )
        for one in lists
    ]


def test_heads_and_adapters_belong_to_their_layout(tmp_path):
    folder = tiny.folder("llama")
    block = replace(BLOCK, document_tokens=24)
    profile = profile_heads(folder, examples(4), prompt=block, progress=False)
    assert profile.provenance["prompt"]["layout"] == "block"
    heads = HeadSet(HEADS.heads, profile.provenance)
    message = "the heads were selected in layout block, but layout joint is to be read; profile"
    with pytest.raises(HeadRankError, match=message):
        HeadRanker.from_pretrained(folder, heads, prompt=PromptOptions())
    with pytest.raises(HeadRankError, match=message):
        joint = AlignRecipe(prompt=PromptOptions())
        align_heads(folder, heads, examples(6), tmp_path / "a", recipe=joint, progress=False)
    check_heads(HEADS, "block")  # a bare list says nothing of its layout
    # What heads were selected with is what is read and trained with, unless told otherwise.
    assert HeadRanker.from_pretrained(folder, heads).options.prompt == block
    table = align_heads(
        folder,
        heads,
        examples(8),
        tmp_path / "a",
        recipe=AlignRecipe(replace(alignment.OPTIONS, epochs=2)),
        progress=False,
    )
    assert len(table) == 3
    card = json.loads((tmp_path / "a/headrank.json").read_text())
    assert card["prompt"]["layout"] == "block"
    bare = HeadSet(HEADS.heads)
    with pytest.raises(HeadRankError, match=r"the adapter was trained in layout block, but layout"):
        HeadRanker.from_pretrained(folder, bare, adapter=tmp_path / "a", prompt=PromptOptions())
    with pytest.raises(HeadRankError, match="align in it, or read layout block"):
        adapter.check_adapter(tmp_path / "a", "joint")
    ranker = HeadRanker.from_pretrained(folder, adapter=tmp_path / "a")
    assert ranker.options.prompt.layout == "block"
    ranker.save_pretrained(tmp_path / "saved")
    again = HeadRanker.from_pretrained(tmp_path / "saved")
    one = tiny.candidates()
    assert again.rerank(one.query, one.passages) == ranker.rerank(one.query, one.passages)


def test_alignment_learns_in_a_block_layout(tmp_path):
    """Relevant documents hold one word: training must find it, as it does in layout joint."""
    from headrank.align import train
    from headrank.align.forward import HeadReader
    from headrank.align.loop import TrainingData
    from headrank.align.mine import mine_with_model
    from headrank.align.places import Folders
    from headrank.options.pairs import PairOptions

    model = models.loaded("llama", num_hidden_layers=3)
    builder = PromptBuilder(models.tokenizer(), replace(BLOCK, document_tokens=24))
    reader, training = HeadReader(model, builder, HEADS), alignment.task(12)
    pairs = mine_with_model(reader, training, PairOptions(), 0, progress=False)
    table = train.align(
        reader,
        TrainingData(training, pairs, alignment.task(6, first=90)),
        Folders(tmp_path / "adapter"),
        options=replace(alignment.OPTIONS, epochs=6, patience=9),
        seed=3,
        progress=False,
    )
    assert table["ndcg@10"].max() > table["ndcg@10"].iloc[0] + 0.1


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_the_command_reads_a_layout_and_refuses_heads_of_another(tmp_path, capsys):
    folder = tiny.folder("llama")
    one = tiny.candidates()
    lines = [
        {
            "query": one.query,
            "docs": [
                {"id": name, "text": passage.text}
                for name, passage in zip(one.doc_ids, one.passages, strict=True)
            ],
        }
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    outputs = []
    for order in ("first-stage", "reversed"):
        output = tmp_path / f"{order}.jsonl"
        assert (
            run(
                "rerank", path, "--model", folder, "--method", "icr", "--layout", "block",
                "--order", order, "--output", output,
            )
            == 0
        )  # fmt: skip
        outputs.append(output.read_text())
    assert outputs[0] == outputs[1]
    heads = tmp_path / "heads.json"
    HeadSet(HEADS.heads, {"prompt": BLOCK.described()}).save(heads)
    capsys.readouterr()
    code = run("rerank", path, "--model", folder, "--heads", heads, "--layout", "joint")
    assert code == 1
    assert "heads were selected in layout block, but layout joint" in capsys.readouterr().err


def test_a_config_is_refused_with_the_reason():
    prompt = {"layout": "block", "document_tokens": 80}
    assert "a number would tell its place" in message(
        changed("prompt", prompt | {"marker": "[{number}] "})
    )
    assert "prompt.layout is 'rows'; allowed: joint, block, block+query" in message(
        changed("prompt", {"layout": "rows"})
    )
    name = next(iter(BASE["alignments"]))
    config = changed(f"alignments/{name}/document_tokens", 300)
    config["prompt"] = prompt
    assert f"alignments.{name}.document_tokens is 300: prompt.query_offset is 256" in message(
        config
    )
