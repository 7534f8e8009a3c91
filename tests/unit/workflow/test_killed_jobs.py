"""Jobs that rank or mine list by list and are killed: they go on, to the same bytes."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from headrank.align import mine
from headrank.baselines import cross_encoder
from headrank.collections.set_files import save_set
from headrank.data import list_records
from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels, Run
from headrank.models.card import record_model
from headrank.ranker import ranker
from tests.helpers import models
from tests.helpers import tiny_models as tiny
from tests.helpers.classifier import classifier
from tests.helpers.scripts import script

WEIGHTS = {"weights": {"dtype": "float32", "device": "cpu"}, "prompt": {}, "seed": 13}
PART = {"shard": 0, "shards": 1, "threads": 1, "code": "digest", "method": "mine"}
RANKED = {
    "fold": {"calibrate": True, "outliers": True, "aggregation": "sum"}, "order": "shuffled",
    "encode_once": False, "batch_tokens": "auto",
}  # fmt: skip


class Killed(Exception):
    pass


@pytest.fixture(autouse=True)
def always(monkeypatch, number_of_threads):
    monkeypatch.setattr(list_records, "EVERY", 0.0)
    torch.set_num_threads(1)


def save_lists(folder):
    one = models.candidates()
    lists = [replace(one, query_id=f"q{n}", query=f"what pays {n}") for n in range(5)]
    run = Run.from_scores({one.query_id: {d: 0.0 for d in one.doc_ids} for one in lists})
    qrels = Qrels({one.query_id: {"d0": 1, "d1": 2, "d2": 0} for one in lists})
    save_set(folder / "set", lists, run, qrels)
    return folder / "set"


def decoder(folder):
    shutil.copytree(tiny.folder("qwen3"), folder / "model")
    record_model(folder / "model", {"kind": "random"})
    return folder / "model"


def truncated(folder, **changes):
    """Return a job, the function that it calls of each list, and the ending of its file."""
    lists, model, job = save_lists(folder), decoder(folder), script("rank_truncated")

    def run(name):
        job.main(
            lists, model, None, None, str(folder / f"{name}.run"), folder / "begun",
            **WEIGHTS | PART | RANKED | changes,
        )  # fmt: skip

    return run, (ranker, "ranked"), "run"


def mining(folder, **options):
    lists, model, job = save_lists(folder), decoder(folder), script("mine_pairs")
    HeadSet((Head(1, 0), Head(0, 1)), {"layout": "joint"}).save(folder / "heads.json")

    def run(name):
        job.main(
            [lists], model, str(folder / "heads.json"), str(folder / f"{name}.csv"),
            str(folder / "summary.csv"), folder / "begun", documents=5, queries=None,
            options=options, threads=1, code="digest", **WEIGHTS,
        )  # fmt: skip

    return run, (mine, "score_record"), "csv"


def classifying(folder):
    lists, model = save_lists(folder), classifier(folder / "model")
    record_model(model, {"kind": "random"})
    job = script("rank_by_cross_encoder")
    encoder = {"max_tokens": 64, "device": "cpu"}

    def run(name):
        job.main(
            lists, model, str(folder / f"{name}.run"), folder / "begun", encoder=encoder, **PART
        )

    return run, (cross_encoder, "score_record"), "run"


JOBS = {
    "truncated": (truncated, True),
    "side by side": (lambda folder: truncated(folder, batch_tokens=300), False),
    "store": (
        lambda folder: truncated(folder, encode_once=True, prompt={"layout": "block"}),
        False,
    ),
    "mining": (mining, True),
    "cross-encoder": (classifying, True),
}


def counted(patch, place, kill=None):
    """Let what is made of one list fail; return the names of the lists that are asked about."""
    module, name = place
    whole, made = getattr(module, name), []

    def noted(candidates, *args):
        if candidates.query_id == kill:
            raise Killed
        made.append(candidates.query_id)
        return whole(candidates, *args)

    patch.setattr(module, name, noted)
    return made


def killed_then_finished(run, place, between=lambda: None):
    """Kill a job at its fourth list; return the lists that the next one asks about."""
    with pytest.MonkeyPatch.context() as patch:
        counted(patch, place, "q3")
        with pytest.raises(Killed):
            run("killed")
    between()
    with pytest.MonkeyPatch.context() as patch:
        made = counted(patch, place)
        run("killed")
    return made


@pytest.mark.parametrize("name", JOBS)
def test_a_killed_job_goes_on_where_each_list_is_read_alone(tmp_path, name):
    make, alone = JOBS[name]
    run, place, ending = make(tmp_path)
    run("unbroken")
    killed = tmp_path / f"killed.{ending}"
    made = killed_then_finished(run, place, lambda: killed.exists() and pytest.fail("half a file"))
    assert made == [f"q{n}" for n in range(3 if alone else 0, 5)]
    unbroken = (tmp_path / f"unbroken.{ending}").read_bytes()
    assert killed.read_bytes() == unbroken and len(unbroken) > 500
    assert not (tmp_path / "begun").exists()


@pytest.mark.parametrize("name", [name for name, (_, alone) in JOBS.items() if alone])
def test_a_corrected_model_is_asked_from_the_start(tmp_path, name):
    run, place, _ = JOBS[name][0](tmp_path)

    def correct():
        file = tmp_path / "model/config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"hidden_act": "relu"}))
        record_model(tmp_path / "model", {"kind": "random"})

    assert killed_then_finished(run, place, correct) == [f"q{n}" for n in range(5)]


def test_a_mining_that_reads_no_list_leaves_no_checkpoint(tmp_path):
    run, place, _ = mining(tmp_path, margins=False, hardness="random")
    with pytest.MonkeyPatch.context() as patch:
        made = counted(patch, place)
        run("pairs")
    assert made == [] and not (tmp_path / "begun").exists()
    assert len((tmp_path / "pairs.csv").read_text().splitlines()) > 5


def test_a_mining_in_another_prompt_starts_anew(tmp_path):
    """A corrected chat template is not among the tokenizer's own settings."""
    run, place, _ = mining(tmp_path)

    def correct():
        (template,) = (tmp_path / "model").glob("*.jinja")
        template.write_text(template.read_text().replace("<|im_end|>", "<|im_end|>\n"))
        record_model(tmp_path / "model", {"kind": "random"})

    assert killed_then_finished(run, place, correct) == [f"q{n}" for n in range(5)]
