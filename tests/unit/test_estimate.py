"""What an experiment costs: arithmetic written out, sizes of real files, and what was measured."""

import json
import math
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import yaml
from expected_errors import refused

from headrank.budget import Known, Shape, Speed, list_bytes, record_bytes, run_bytes, table
from headrank.config import configure
from headrank.estimate import estimate
from headrank.generation import windows
from headrank.generation.answers import Answer, Generated, read_permutation
from headrank.generation.protocols import PROTOCOLS
from headrank.generation.records import record, save_records
from headrank.lists import CandidateList, Passage
from headrank.measured import known
from headrank.reading import ListReading, save_readings
from headrank.storage import PROJECTIONS, adapter_bytes
from headrank.tables.estimate import estimate_table
from headrank.trec import Run

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
BASE = yaml.safe_load(Path(__file__).with_name("experiment.yaml").read_text())


def experiment(**changes):
    """Return the checked config of a small experiment: one set of 30 queries, 20 profiled."""
    config = deepcopy(BASE)
    config["sets"]["lee"]["take"] = 30
    config["sets"]["insuranceqa-heads"]["take"] = 20
    config["profiling"]["sets"] = ["insuranceqa-heads"]
    config["experiment"]["sets"] = ["lee"]
    config["experiment"]["methods"] = ["bm25", "icr", "headrank-untuned", "headrank"]
    config["evaluation"]["comparisons"] = []
    config["report"] = {"set": "lee"}
    config["ablations"] = {}
    # Twelve lists of 10 documents of 80 + 8 tokens and 100 for the rest.
    config |= {"candidates": 10, "reading": {"tokens": "none", "tokens_per_shard": 12 * 980}}
    config["methods"]["qrhead"]["truncated"] = config["methods"]["core"]["truncated"] = True
    config["prompt"] = {"document_tokens": 80}
    config["sets"]["insuranceqa-train"]["take"] = 100
    config["alignments"]["insuranceqa"] |= {"documents": 8, "document_tokens": 42}
    assumed = {"layers": 4, "heads": 5, "tokens_per_second": 100}
    config["estimate"] = {"models": {"smollm2": assumed}, "source": "made up for this test"}
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = config
        for name in parents:
            place = place[name]
        place[key] = value
    configure(config, SCHEMA)
    return config


def rows(config, found=None):
    return {(stage.stage, stage.model): stage for stage in estimate(config, found)}


def test_the_arithmetic():
    """A list: 10 documents of 80 + 8 tokens and 100 for the rest, 980 tokens."""
    found = rows(experiment())
    readings = found["readings", "smollm2"]
    # Three orders of 30 queries in ceil(30 / 12) jobs, and 20 profiled queries in ceil(20 / 12).
    assert (readings.jobs, readings.queries) == (3 * 3 + 2, 3 * 30 + 20)
    assert readings.tokens == 110 * 980
    assert readings.hours == pytest.approx(110 * 980 / 100 / 3600)
    assert (readings.per_second, readings.basis) == (100, "assumed")
    # float32 of 4 layers, 5 heads, 10 documents, twice; contrast of 800 tokens; spans and ids;
    # the headers of 4 arrays.
    one = 2 * 4 * 4 * 5 * 10 + 4 * 800 + (2 * 8 + 80) * 10 + 4 * 300
    assert readings.gigabytes == pytest.approx(110 * one / 1e9)
    # Two adapters, three orders; no calibration: one array of masses and the spans.
    aligned = found["aligned readings", "smollm2"]
    assert (aligned.jobs, aligned.queries, aligned.tokens) == (18, 180, 180 * 980)
    assert aligned.gigabytes == pytest.approx(180 * (4 * 4 * 5 * 10 + 960 + 600) / 1e9)
    # A training list: 8 documents of 42 + 8 tokens and 100. 100 queries, 2 epochs, 2 seeds.
    pairs, training = (found[f"{n} of insuranceqa", "smollm2"] for n in ("pairs", "training"))
    assert (pairs.jobs, pairs.queries, pairs.tokens) == (1, 100, 100 * 500)
    # 12 lists of 10 documents validate before the first and after each epoch.
    trained, read = 2 * 100 * 500, 3 * 12 * (10 * 50 + 100)
    assert (training.jobs, training.tokens) == (2, 2 * (trained + read))
    # Backwards costs twice as much as forwards.
    assert training.hours == pytest.approx(2 * (3 * trained + read) / 100 / 3600)
    # bm25 once; icr and headrank-untuned in three orders; headrank in three with two adapters.
    assert found["rankings", "-"].jobs == 1 + 3 + 3 + 6
    # Two adapters of rank 8 on queries and keys.
    assert training.gigabytes == pytest.approx(2 * 12e6 / 1e9)
    # 13 runs of 30 lists of 10 passages, 65 bytes a line.
    assert found["rankings", "-"].gigabytes == pytest.approx(13 * 30 * 10 * 65 / 1e9)
    assert ("truncated rankings", "smollm2") not in found


def test_what_is_fetched_and_kept():
    hub = {"kind": "huggingface", "repository": "a/b", "revision": "0" * 40}
    lee = {"kind": "ir_datasets", "id": "beir/lee", "expect": {"documents": 400}}
    config = experiment(
        models__smollm2={"source": hub, "format": "safetensors"},
        collections__lee={"source": lee, "first_stage": "own"},
    )
    found = rows(config)
    # The archive of InsuranceQA, whose size nothing tells.
    archives = found["archives", "-"]
    assert (archives.jobs, archives.fetched, archives.gigabytes) == (1, None, None)
    # 200 bytes a document are fetched, and kept with what they unpack to, 600.
    sources = found["sources", "-"]
    assert (sources.fetched, sources.gigabytes) == pytest.approx((400 * 200e-9, 400 * 800e-9))
    assert found["weights", "smollm2"].gigabytes is None
    assert found["collections", "-"].gigabytes is None
    costs = config["estimate"]
    costs["models"]["smollm2"]["parameters"] = 5e8
    costs["downloads"] = {
        "insuranceqa": {"gigabytes": 0.02},
        "lee": {"gigabytes": 3, "unpacked": 7},
    }
    found = rows(config)
    assert (found["archives", "-"].fetched, found["archives", "-"].gigabytes) == (0.02, 0.02)
    assert (found["sources", "-"].fetched, found["sources", "-"].gigabytes) == (3, 10)
    weights = found["weights", "smollm2"]
    assert (weights.jobs, weights.fetched, weights.gigabytes) == (1, 1, 1)
    # 30 + 20 + 100 + 12 queries: 10 documents of 600 bytes, 10 candidates, 100 of the first stage.
    sets = found["query sets", "-"]
    assert (sets.jobs, sets.queries) == (4, 162)
    assert sets.gigabytes == pytest.approx(162 * (10 * 600 + 110 * 65) / 1e9)
    file = config["collections"]["insuranceqa"]["source"]["file"]
    here = Known(weights={"smollm2": 0.9}, archives={file: 0.03}, documents={"insuranceqa": 600})
    found = rows(config, here)
    measured = [found["weights", "smollm2"], found["archives", "-"]]
    assert [(row.gigabytes, row.basis) for row in measured] == [
        (0.9, "measured"),
        (0.03, "measured"),
    ]
    assert found["collections", "-"].gigabytes == pytest.approx(1000 * 600 / 1e9)
    # Dequantised weights are float32, and no hub is asked for an archive's.
    row = rows(experiment(estimate__models__smollm2__parameters=5e8))["weights", "smollm2"]
    assert (row.fetched, row.gigabytes) == (0, 2)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, 12e6),
        ({"rank": 16}, 24e6),
        ({"projections": "attention"}, 24e6),
        ({"rank": 4, "projections": "all"}, 12e6 * 5.6 / 2),
    ],
)
def test_the_size_of_an_adapter_grows_with_rank_and_projections(options, expected):
    config = experiment(alignments__insuranceqa__options=options)
    recipe = config["alignments"]["insuranceqa"]
    assert adapter_bytes(config, recipe["options"]) == pytest.approx(expected)
    # Qwen3-4B: 2,560 wide; queries 4,096, keys and values 1,024, feed-forward 9,728; LoRA has a
    # matrix for what goes in and one for what comes out.
    width, query, key, inner = 2560, 4096, 1024, 9728
    both = (width + query) + (width + key)
    assert 8 * both * 36 * 4 == pytest.approx(12e6, rel=0.02)
    assert 2 * both / both == PROJECTIONS["attention"]
    assert (2 * both + 3 * (width + inner)) / both == pytest.approx(PROJECTIONS["all"], rel=0.01)


def test_methods_that_read_for_themselves():
    config = experiment(experiment__methods=["qrhead", "core", "headrank-untuned"])
    own = rows(config)["truncated rankings", "smollm2"]
    assert (own.jobs, own.queries, own.tokens) == (2 * 9, 2 * 90, 180 * 980)
    # They keep their runs alone, a line a passage.
    assert own.gigabytes == pytest.approx(180 * 10 * 65 / 1e9)
    assert not any(stage.startswith(("aligned", "training")) for stage, _ in rows(config))


def test_what_is_generated():
    """15 passages: windows of 6 and a stride of 3 from the end: 9-15, 6-12, 3-9, 0-6."""
    listwise = {"kind": "generative", "protocol": "listwise", "window": 6, "stride": 3}
    config = experiment(
        methods__ask=listwise | {"orders": ["shuffled", "first-stage"]},
        methods__judge={"kind": "generative", "protocol": "pointwise"},
        experiment__methods=["bm25", "ask", "judge", "ask+bm25"],
        candidates=15,
        reading__tokens_per_shard=12 * (15 * 88 + 100),
    )
    config["estimate"]["new_tokens_per_second"] = 10
    found = rows(config)
    asked, judged = (found[f"generation by {name}", "smollm2"] for name in ("ask", "judge"))
    # Two orders of 30 queries in ceil(30 / 12) jobs; a prompt: 6 x 88 + 100; an answer: 6 x 6.
    assert (asked.jobs, asked.queries) == (2 * 3, 2 * 30)
    prompts, written = 60 * 4 * (6 * 88 + 100), 60 * 4 * 36
    assert asked.tokens == prompts + written
    assert asked.hours == pytest.approx((prompts / 100 + written / 10) / 3600)
    assert asked.per_second == pytest.approx(prompts / asked.hours / 3600)
    config["methods"]["ask"]["batch"] = 4
    side_by_side = rows(config)["generation by ask", "smollm2"]
    assert side_by_side.hours == pytest.approx((prompts / 100 + written / 40) / 3600)
    # Order has no say: once, 15 prompts of one passage.
    assert (judged.jobs, judged.queries, judged.tokens) == (3, 30, 30 * 15 * 188)
    assert judged.hours == pytest.approx(judged.tokens / 100 / 3600)
    # bm25 once, the others in each of their orders.
    assert found["rankings", "-"].jobs == 1 + 2 + 3 + 2
    known = Known(generation={("smollm2", "ask"): Speed(20.0, "measured")})
    told = rows(config, known)["generation by ask", "smollm2"]
    assert (told.hours, told.basis) == (pytest.approx(prompts / 20 / 3600), "measured")


def test_what_is_classified():
    config = experiment(
        methods__mono={"kind": "cross-encoder", "encoder": "minilm"},
        experiment__methods=["bm25", "mono", "mono+bm25"],
    )
    config["encoders"]["minilm"]["max_tokens"] = 70
    found = rows(config)
    scores = found["scores of mono", "minilm"]
    # 30 queries in ceil(30 / 12) jobs; 10 passages, each of at most 70 tokens with the query.
    assert (scores.jobs, scores.queries, scores.tokens) == (3, 30, 30 * 10 * 70)
    assert scores.hours is None and np.isnan(table(found.values())["hours"].iloc[-1])
    assert found["rankings", "-"].jobs == 3
    config["estimate"]["models"]["minilm"] = {"layers": 6, "heads": 12, "tokens_per_second": 50}
    told = rows(config)["scores of mono", "minilm"]
    assert (told.hours, told.basis) == (pytest.approx(21000 / 50 / 3600), "assumed")


def test_a_smaller_training_and_a_reselection():
    found = rows(experiment(alignments__insuranceqa__queries=25, methods__headrank__reselect=True))
    assert found["pairs of insuranceqa", "smollm2"].tokens == 25 * 500
    # The profiled queries are read again with each of two adapters.
    assert found["aligned readings", "smollm2"].queries == 180 + 2 * 20


def test_what_is_known_goes_before_what_is_assumed():
    told = Known(
        documents={"lee": 50, "insuranceqa": 1000},
        queries={"lee": 24},
        document_tokens={"lee": 30.0},
        shapes={"smollm2": Shape(2, 3)},
        reading={"smollm2": Speed(50.0, "measured")},
        indexing=Speed(500.0, "measured"),
    )
    found = rows(experiment(), told)
    readings = found["readings", "smollm2"]
    lists = 3 * 24 * (10 * 38 + 100) + 20 * 980
    assert (readings.queries, readings.tokens) == (3 * 24 + 20, lists)
    assert readings.hours == pytest.approx(lists / 50 / 3600)
    # What no run measured takes the measured speed of reading.
    assert found["training of insuranceqa", "smollm2"].per_second == 50
    assert found["indexes", "-"].hours == pytest.approx(1050 / 500 / 3600)
    assert found["collections", "-"].gigabytes == pytest.approx(1050 * 600 / 1e9)


def test_an_unknown_size_is_unknown_and_so_is_the_total():
    config = experiment(sets__lee__take=None, reading={"tokens": "none"})
    stages = estimate(config)
    frame = table(stages).set_index("stage")
    assert frame.loc["readings", ["queries", "tokens", "gigabytes", "hours"]].isna().all()
    assert np.isnan(frame.loc["total", "hours"])
    printed = estimate_table(stages, config["estimate"]["source"]).markdown()
    assert "| readings | smollm2 | 4 | unknown | unknown | – | unknown | unknown | 100 |" in printed
    assert "made up for this test" in printed


def test_what_cannot_be_estimated_is_told():
    with refused("estimate.models.smollm2 is missing", "estimate.source"):
        estimate(experiment(estimate={}))
    with refused("prompt.document_tokens is null", "estimate.document_tokens"):
        estimate(experiment(prompt={"document_tokens": None}, reading={}))
    unbounded = {"prompt": {"document_tokens": None}, "reading": {}}
    one = experiment(**unbounded, estimate__document_tokens=30)
    assert rows(one)["readings", "smollm2"].tokens == 110 * (10 * 38 + 100)


def reading(number, shape, documents, tokens, calibrate, keep_tokens):
    """Return a list's reading of a shape, as the reader makes it."""
    ends = np.arange(1, documents + 1) * (tokens // documents)
    mass = np.full((shape.layers, shape.heads, documents), 0.5, np.float32)
    return ListReading(
        query_id=f"q{number}",
        doc_ids=tuple(f"document-{place}" for place in range(documents)),
        query=mass,
        calibration=mass if calibrate else None,
        spans=np.stack([ends - tokens // documents, ends], axis=1),
        contrast=np.zeros(tokens, np.float32) if calibrate else None,
        tokens=np.zeros((shape.layers, shape.heads, tokens), np.float32) if keep_tokens else None,
    )


@pytest.mark.parametrize("calibrate, keep_tokens", [(True, True), (True, False), (False, False)])
def test_the_size_of_a_reading_is_that_of_its_file(tmp_path, calibrate, keep_tokens):
    shape, documents, tokens = Shape(28, 16), 40, 2000
    lists = [reading(n, shape, documents, tokens, calibrate, keep_tokens) for n in range(5)]
    save_readings(tmp_path / "0.npz", lists, {})
    told = 5 * list_bytes(shape, documents, tokens, calibrate=calibrate, keep_tokens=keep_tokens)
    assert (tmp_path / "0.npz").stat().st_size == pytest.approx(told, rel=0.02)


def test_the_size_of_a_run_is_that_of_its_file(tmp_path):
    scores = {
        f"{n}": {f"document-{d}": math.log(1 / (1 + 40 * n + d)) for d in range(40)}
        for n in range(100_000, 100_020)
    }
    Run.from_scores(scores, "headrank-untuned").save(tmp_path / "a.run")
    assert (tmp_path / "a.run").stat().st_size == pytest.approx(20 * run_bytes(40), rel=0.1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_size_of_a_record_bounds_that_of_its_file(tmp_path, protocol):
    """40 documents: three windows of 20 with every number written, or 40 answers of a word."""
    settings = {"protocol": protocol, "window": 20, "stride": 10, "thinking": False}
    settings["thinking_tokens"] = 0
    work = windows.work(settings, 40, 264.0, 100.0)
    answers = {
        "listwise": [
            read_permutation(" > ".join(f"[{n}]" for n in range(20, 0, -1)), 20, start=start)
            for start in (20, 10, 0)
        ],
        "pointwise": [Answer(" Yes", start=n) for n in range(40)],
        "query-likelihood": [],
    }[protocol]
    scores = np.log(np.arange(1, 41) / 77) if protocol != "listwise" else np.arange(40.0)
    lists = [
        record(
            CandidateList(
                f"q{n}",
                "what pays",
                tuple(f"document-{d}" for d in range(40)),
                (Passage("", "text"),) * 40,
            ),
            Generated(scores, work.passes, 16_000, work.new_tokens, tuple(answers)),
        )
        for n in range(10)
    ]
    save_records(tmp_path / "0.jsonl", {}, lists)
    told = 10 * record_bytes(40, len(answers), work.places, work.new_tokens)
    # A bound, but no wide one: the scores of a permutation are short.
    assert 0.6 * told < (tmp_path / "0.jsonl").stat().st_size < 1.1 * told


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
        made = {"device": "cpu", "dtype": "bfloat16"} | made
        read = [reading(n, shape, 10, 200, True, False) for n in range(lists)]
        save_readings(results / f"readings/{path}.npz", read, made)
        put(results / f"benchmarks/readings/{path}.jsonl", {"s": seconds})

    recorded("lee/smollm2/none/shuffled/0", 3, 10.0)
    recorded("lee/smollm2/none/shuffled/1", 2, 10.0)
    recorded("lee/smollm2/insuranceqa-1/shuffled/0", 4, 8.0)
    # Not this experiment's: another precision, and a set that is not declared.
    recorded("lee/smollm2/none/reversed/0", 5, 1.0, dtype="float32")
    recorded("other/smollm2/none/shuffled/0", 5, 1.0)
    put(results / "sets/lee/set.json", {"queries": 24})
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
    # A list: 10 documents of 20 + 8 tokens and 100, 380 tokens.
    assert found.reading == {"smollm2": Speed(5 * 380 / 20.0, "measured")}
    assert found.aligned == {"smollm2": Speed(4 * 380 / 8.0, "measured")}
    assert found.generation == {("smollm2", "listwise"): Speed(600 / 12.0, "measured")}
    assert found.indexing == Speed(50 / 5.0, "measured")
    # One adapter: 2 epochs of 100 lists, three times their 500 tokens, and 3 x 12 lists of 600.
    assert found.training == {
        "smollm2": Speed((3 * 2 * 100 * 500 + 3 * 12 * 600) / 500, "measured")
    }
    assert known(experiment(), tmp_path / "no", tmp_path / "no") == Known()
    # Results of another config tell how fast the machine is, and nothing of these sets and recipes.
    other = known(
        experiment(methods__listwise=listwise), tmp_path / "no", resources, others=[results]
    )
    assert (other.reading, other.aligned) == (found.reading, found.aligned)
    assert (other.generation, other.indexing) == (found.generation, found.indexing)
    assert (other.queries, other.document_tokens, other.training) == ({}, {}, {})
