"""Earlier runs tell sizes, lengths and speeds, each where it is of the same settings."""

import json

import pytest

from headrank.baselines.generation.records import save_records
from headrank.reading.readings import save_readings
from headrank.workflow.estimate.recorded import SAMPLING, known
from headrank.workflow.estimate.terms import Known, Shape, Speed
from tests.helpers.small_experiment import experiment, reading


def answer(number, prompt_tokens):
    """Return the record of one list; only its tokens count here."""
    names = ("documents", "scores", "answers")
    costs = {"passes": 1, "prompt_tokens": prompt_tokens, "new_tokens": 9}
    return {"query": f"q{number}", **{name: [] for name in names}, **costs}


def test_what_earlier_runs_tell(tmp_path):
    results, resources = tmp_path / "results", tmp_path / "resources"

    def put(path, *records):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(record) + "\n" for record in records))

    def recorded(path, lists, seconds, **made):
        shape = Shape(2, 3)
        prompt = {"document_tokens": 80}
        made = {"device": "cpu", "dtype": "bfloat16", "prompt": prompt} | made
        read = [reading(n, shape, 10, 200, True, False) for n in range(lists)]
        save_readings(results / f"readings/{path}.npz", read, made)
        put(results / f"benchmarks/readings/{path}.jsonl", {"s": seconds})

    recorded("lee/smollm2/none/shuffled/0", 3, 10.0)
    recorded("lee/smollm2/none/shuffled/1", 2, 10.0)
    recorded("lee/smollm2/insuranceqa-1/shuffled/0", 4, 8.0)
    # What went on behind a killed job was not timed whole.
    recorded("lee/smollm2/none/first-stage/0", 5, 1.0)
    put(results / "checkpoints/readings/lee/smollm2/none/first-stage/0.resumed")
    put(results / "benchmarks/adapters/smollm2/insuranceqa-2.jsonl", {"s": 1.0})
    put(results / "checkpoints/smollm2/insuranceqa-2.resumed")
    # Not this experiment's: another precision, and a set that is not declared.
    recorded("lee/smollm2/none/reversed/0", 5, 1.0, dtype="float32")
    recorded("other/smollm2/none/shuffled/0", 5, 1.0)
    config = experiment()
    sampled = {key: config["sets"]["lee"][key] for key in SAMPLING}
    sampled |= {"candidates": config["candidates"], "seed": config["seed"]}
    put(results / "sets/lee/set.json", sampled | {"queries": 24})
    answers = "lee/smollm2/shuffled/listwise/0.jsonl"
    settings = {"device": "cpu", "dtype": "bfloat16", "method": {"batch": 1}}
    lists = [answer(number, prompt_tokens=300) for number in range(2)]
    save_records(results / "generation" / answers, settings, lists)
    put(results / "benchmarks/generation" / answers, {"s": 12.0})
    # Not as this experiment asks: four lists side by side.
    other = answers.replace("shuffled", "first-stage")
    save_records(results / "generation" / other, settings | {"method": {"batch": 4}}, lists)
    put(results / "benchmarks/generation" / other, {"s": 3.0})
    put(results / "benchmarks/adapters/smollm2/insuranceqa-1.jsonl", {"s": 500.0})
    put(results / "benchmarks/indexes/lee.jsonl", {"s": 5.0})
    put(resources / "collections/lee/collection.json", {"counts": {"documents": 50}})
    put(
        resources / "models/smollm2/config.json",
        {"num_hidden_layers": 2, "num_attention_heads": 3},
    )
    put(resources / "models/smollm2/headrank.json", {})
    (resources / "models/smollm2/model.safetensors").write_bytes(b"0" * 5000)
    (resources / "archives").mkdir()
    (resources / "archives/a.whl").write_bytes(b"0" * 4000)
    listwise = {"kind": "generative", "protocol": "listwise"}
    found = known(experiment(methods__listwise=listwise), results, resources)
    assert (found.queries, found.documents) == ({"lee": 24}, {"lee": 50})
    assert found.document_tokens == {"lee": 20.0}
    assert found.shapes == {"smollm2": Shape(2, 3)}
    assert found.weights == {"smollm2": pytest.approx(5e-6, rel=0.05)}
    assert found.archives == {"a.whl": 4e-6}
    assert found.speeds == {
        # A list: 10 documents of 20 + 8 tokens and 100, 380 tokens.
        ("reading", "smollm2"): Speed(5 * 380 / 20.0, "measured"),
        ("aligned", "smollm2"): Speed(4 * 380 / 8.0, "measured"),
        ("generation", "smollm2", "listwise"): Speed(600 / 12.0, "measured"),
        ("indexing",): Speed(50 / 5.0, "measured"),
        # One adapter: 2 epochs of 100 lists, three times their 500 tokens, and 3 x 12 lists of 600.
        ("training", "smollm2"): Speed((3 * 2 * 100 * 500 + 3 * 12 * 600) / 500, "measured"),
    }
    # What was sampled or cut otherwise tells how fast the machine is, and no more.
    put(results / "sets/lee/set.json", sampled | {"queries": 24, "take": 7})
    changed = experiment(methods__listwise=listwise)
    changed["prompt"]["document_tokens"] = 60
    other = known(changed, results, resources)
    assert (other.queries, other.document_tokens) == ({}, {})
    assert other.speeds["reading", "smollm2"] == found.speeds["reading", "smollm2"]
    assert known(experiment(), tmp_path / "no", tmp_path / "no") == Known()
    # Results of another config tell how fast the machine is, and nothing of these sets and recipes.
    other = known(
        experiment(methods__listwise=listwise), tmp_path / "no", resources, others=[results]
    )
    training = ("training", "smollm2")
    assert other.speeds == {key: found.speeds[key] for key in found.speeds if key != training}
    assert (other.queries, other.document_tokens) == ({}, {})
