"""Jobs that rank or mine list by list and are killed: they go on, to the same bytes."""

import json
import shutil
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from headrank.align import mine
from headrank.baselines import cross_encoder
from headrank.collections.set_files import save_set
from headrank.data import list_records
from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels, Run
from headrank.models.card import record_model
from tests.helpers import models
from tests.helpers import tiny_models as tiny
from tests.helpers.classifier import classifier

SCRIPTS = Path(__file__).parents[3] / "workflow/scripts"
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


def script(name):
    spec = spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    """Return a job, what makes its records, and the file that it writes."""
    lists, model, job = save_lists(folder), decoder(folder), script("rank_truncated")

    def run(name):
        job.main(
            lists, model, None, None, str(folder / f"{name}.run"), folder / "begun",
            **WEIGHTS | PART | RANKED | changes,
        )  # fmt: skip

    return run, job, "run"


def mining(folder):
    lists, model, job = save_lists(folder), decoder(folder), script("mine_pairs")
    HeadSet((Head(1, 0), Head(0, 1)), {"layout": "joint"}).save(folder / "heads.json")

    def run(name):
        job.main(
            [lists], model, str(folder / "heads.json"), str(folder / f"{name}.csv"),
            str(folder / "summary.csv"), folder / "begun", documents=5, queries=None, options={},
            threads=1, code="digest", **WEIGHTS,
        )  # fmt: skip

    return run, mine, "csv"


def classifying(folder):
    lists, model = save_lists(folder), classifier(folder / "model")
    record_model(model, {"kind": "random"})
    job = script("rank_by_cross_encoder")
    encoder = {"max_tokens": 64, "device": "cpu"}

    def run(name):
        job.main(
            lists, model, str(folder / f"{name}.run"), folder / "begun", encoder=encoder, **PART
        )

    return run, cross_encoder, "run"


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


def counted(patch, module, kill=None):
    """Let the record of one list fail; return the names of the lists whose records are made."""
    whole, made = list_records.score_record, []

    def record(candidates, scores):
        if candidates.query_id == kill:
            raise Killed
        made.append(candidates.query_id)
        return whole(candidates, scores)

    patch.setattr(module, "score_record", record)
    return made


@pytest.mark.parametrize("name", JOBS)
def test_a_killed_job_goes_on_where_each_list_is_read_alone(tmp_path, monkeypatch, name):
    make, alone = JOBS[name]
    run, module, ending = make(tmp_path)
    run("unbroken")
    counted(monkeypatch, module, "q3")
    with pytest.raises(Killed):
        run("killed")
    assert not (tmp_path / f"killed.{ending}").exists()
    made = counted(monkeypatch, module)
    run("killed")
    assert made == [f"q{n}" for n in range(3 if alone else 0, 5)]
    whole = [(tmp_path / f"{name}.{ending}").read_bytes() for name in ("unbroken", "killed")]
    assert whole[0] == whole[1] and len(whole[0]) > 500
    assert not (tmp_path / "begun").exists()


@pytest.mark.parametrize("name", [name for name, (_, alone) in JOBS.items() if alone])
def test_a_corrected_model_is_asked_from_the_start(tmp_path, monkeypatch, name):
    run, module, _ = JOBS[name][0](tmp_path)
    counted(monkeypatch, module, "q3")
    with pytest.raises(Killed):
        run("killed")
    file = tmp_path / "model/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"hidden_act": "relu"}))
    record_model(tmp_path / "model", {"kind": "random"})
    made = counted(monkeypatch, module)
    run("killed")
    assert made == [f"q{n}" for n in range(5)]
