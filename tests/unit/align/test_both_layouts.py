"""One adapter of both layouts: its steps, its gradients, and where it serves."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch

from headrank.align import train
from headrank.align.adapter import add_adapter, check_adapter
from headrank.align.lists import shuffled
from headrank.align.places import Folders
from headrank.align.validate import validation_ndcg
from headrank.cli import align as command
from headrank.data.candidates import query_generator
from headrank.data.heads import HeadSet
from headrank.errors import HeadRankError
from headrank.ranker.ranker import HeadRanker
from headrank.reading.layout import check_heads
from tests.helpers import tiny_models as tiny
from tests.helpers.alignment import OPTIONS, inputs, run
from tests.helpers.models import TEXTS

BOTH = replace(OPTIONS, epochs=1, batch=3, dropout=0.0, clip=1e9, both_layouts=True)
JOINT = {"prompt": {"layout": "joint"}}


def training(options=BOTH):
    """Return a training at its start, and the items of its first step."""
    (reader, data), settings = inputs(options)
    seed, qrels = settings["seed"], data.training.qrels
    wrapped = add_adapter(reader.model, reader.heads, rank=4, alpha=8, dropout=0.0, seed=seed)
    one = train.Training(reader, wrapped, data, options, seed)
    order = query_generator(seed, "lists", "0").permutation(5)[: options.batch]
    items = [shuffled(c, qrels, p, seed, 0) for c, p in (data.matched[i] for i in order)]
    return one, items


def gradient(one, losses):
    """Return the gradient of a mean of losses, and the mean."""
    for parameter in one.parameters:
        parameter.grad = None
    mean = torch.stack(losses).mean()
    mean.backward()
    found = [p.grad.clone() for p in one.parameters if p.grad is not None]
    return torch.cat([values.flatten() for values in found]), mean.item()


def test_a_step_descends_the_mean_loss_of_both_layouts(tmp_path):
    run(tmp_path / "a", BOTH)
    first = pd.read_csv(tmp_path / "a" / "training.csv").iloc[0]
    one, items = training()
    assert [reader.layout for reader in one.readers] == ["joint", "block"]
    by_layout = {
        reader.layout: gradient(one, [part["loss"] for part in one.losses(items, reader)])
        for reader in one.readers
    }
    (joint, loss), (block, other) = by_layout["joint"], by_layout["block"]
    assert loss != pytest.approx(other, rel=1e-3)
    # They pull apart, so neither alone would pass for the mean.
    assert torch.nn.functional.cosine_similarity(joint, block, dim=0) < 0.999
    assert first["loss"] == pytest.approx((loss + other) / 2, rel=1e-5)
    assert first["gradient_norm"] == pytest.approx(((joint + block) / 2).norm().item(), rel=1e-4)


def test_the_heads_own_layout_decides_pairs_and_the_best_epoch(tmp_path):
    table = run(tmp_path / "a", BOTH)
    (reader, data), settings = inputs(BOTH)
    start = validation_ndcg(reader, data.validation, settings["seed"])
    assert table["ndcg@10"].iloc[0] == start
    card = json.loads((tmp_path / "a/headrank.json").read_text())
    assert "layout" not in card["prompt"] and card["options"]["both_layouts"] is True


def test_its_adapter_serves_both_layouts_and_no_third(tmp_path):
    (reader, data), settings = inputs(BOTH)
    profiled = HeadSet(reader.heads.heads, JOINT)
    train.align(replace(reader, heads=profiled), data, Folders(tmp_path / "both"), **settings)
    run(tmp_path / "one", replace(BOTH, both_layouts=False))
    for layout in ("joint", "block"):
        check_adapter(tmp_path / "both", layout)
        check_heads(HeadSet.load(tmp_path / "both/heads.json"), layout)
    with pytest.raises(HeadRankError, match=r"trained in layout joint, but layout block\+query"):
        check_adapter(tmp_path / "both", "block+query")
    with pytest.raises(HeadRankError, match="trained in layout joint, but layout block"):
        check_adapter(tmp_path / "one", "block")
    with pytest.raises(HeadRankError, match="selected in layout joint, but layout block"):
        check_heads(profiled, "block")


def test_a_ranker_takes_it_in_either_layout(tmp_path):
    from headrank.align.lists import Judged
    from headrank.fitting import AlignRecipe, align_lists
    from headrank.models.decoder import load_model
    from tests.helpers.alignment import HEADS, task

    folder = tiny.folder("qwen3")
    (lists, qrels), (held, held_qrels) = task(5), task(2, first=90)
    held = [replace(one, query=f"{one.query} {one.query_id}") for one in held]
    align_lists(
        load_model(folder, layers=HEADS.deepest + 1),
        HEADS,
        Judged(lists, qrels),
        tmp_path / "a",
        validation=Judged(held, held_qrels),
        recipe=AlignRecipe(BOTH),
        progress=False,
    )
    scores = {}
    for layout in ("joint", "block"):
        ranker = HeadRanker.from_pretrained(
            folder, adapter=tmp_path / "a", prompt={"layout": layout}, dtype="float32"
        )
        assert ranker.options.prompt.layout == layout
        scores[layout] = sorted(one.score for one in ranker.rerank("what pays", TEXTS[:4]))
    assert scores["joint"] != scores["block"]


def test_the_command_has_the_option():
    import argparse

    parser = command.add_parser(argparse.ArgumentParser().add_subparsers())
    given = ["in.jsonl", "--model", "m", "--heads", "h", "-o", "a"]
    assert parser.parse_args([*given, "--both-layouts"]).both_layouts is True
    assert parser.parse_args(given).both_layouts is None
