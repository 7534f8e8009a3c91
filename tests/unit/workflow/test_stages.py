"""What an experiment costs: arithmetic written out, of what is known and what is assumed."""

import json

import numpy as np
import pytest

from headrank.workflow.estimate.own_folders import Corpus, own_corpora, own_queries
from headrank.workflow.estimate.stages import estimate
from headrank.workflow.estimate.table import estimate_table, table
from headrank.workflow.estimate.terms import Known, Shape, Speed
from tests.helpers.own_folder import written
from tests.helpers.small_experiment import experiment, rows


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


def test_a_training_of_the_querys_tokens_reads_documents_once():
    config = experiment()
    config["selections"]["headrank"]["layout"] = "block"
    config["alignments"]["insuranceqa"]["options"] |= {"tokens": "query"}
    training = rows(config)["training of insuranceqa", "smollm2"]
    # Lists as in the arithmetic above, each read once; then 100 tokens a query in 2 epochs, and
    # the same of 12 validation queries three times.
    read, trained = 100 * 500 + 12 * 600 + 3 * 12 * 100, 2 * 100 * 100
    assert training.tokens == 2 * (read + trained)
    assert training.hours == pytest.approx(2 * (read + 3 * trained) / 100 / 3600)


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
    known = Known(speeds={("generation", "smollm2", "ask"): Speed(20.0, "measured")})
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
    assert np.isnan(scores.hours) and np.isnan(table(found.values())["hours"].iloc[-1])
    assert found["rankings", "-"].jobs == 3
    config["estimate"]["models"]["minilm"] = {"layers": 6, "heads": 12, "tokens_per_second": 50}
    told = rows(config)["scores of mono", "minilm"]
    assert (told.hours, told.basis) == (pytest.approx(21000 / 50 / 3600), "assumed")


def test_a_smaller_training_and_a_reselection():
    found = rows(experiment(alignments__insuranceqa__queries=25, methods__headrank__reselect=True))
    assert found["pairs of insuranceqa", "smollm2"].tokens == 25 * 500
    # The profiled queries are read again with each of two adapters.
    assert found["aligned readings", "smollm2"].queries == 180 + 2 * 20


@pytest.mark.parametrize(
    ("options", "lists"),
    [
        ({"margins": False}, 0),
        ({"margins": True}, 100),
        # 4 documents above, 4 below: 16 pairs.
        ({"margins": False, "per_query": 15}, 100),
        ({"margins": False, "per_boundary": 15}, 100),
        ({"margins": False, "per_query": 1, "hardness": "random"}, 0),
    ],
)
def test_lists_whose_pairs_no_cap_drops_are_not_read_to_mine_them(options, lists):
    config = experiment()
    config["alignments"]["insuranceqa"]["pairs"] |= options
    found = rows(config)
    mined = found["pairs of insuranceqa", "smollm2"]
    assert (mined.queries, mined.tokens) == (lists, lists * 500)
    assert mined.hours == pytest.approx(lists * 500 / 100 / 3600)
    notes = " ".join(estimate_table(list(found.values())).notes)
    assert ("Pairs without a cost" in notes) == (lists == 0)
    # What is not done takes no time at an unknown speed either, nor of unknown sizes.
    config["sets"]["insuranceqa-train"]["take"] = None
    config["collections"]["insuranceqa"]["source"].pop("expect", None)
    config["collections"]["insuranceqa"]["source"].pop("splits", None)
    assert np.isnan(rows(config)["training of insuranceqa", "smollm2"].queries)
    config["estimate"]["models"] = {}
    assert (rows(config)["pairs of insuranceqa", "smollm2"].hours == 0) == (lists == 0)


def test_what_is_known_goes_before_what_is_assumed():
    told = Known(
        documents={"lee": 50, "insuranceqa": 1000},
        queries={"lee": 24},
        document_tokens={"lee": 30.0},
        shapes={"smollm2": Shape(2, 3)},
        speeds={
            ("reading", "smollm2"): Speed(50.0, "measured"),
            ("indexing",): Speed(500.0, "measured"),
        },
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
    # What is known of the sum is told.
    known = frame["hours"][:-1].sum()
    assert known > 0
    total = next(line for line in printed.splitlines() if line.startswith("| total"))
    assert f"| at least {known:.1f} |" in total


def test_what_cannot_be_estimated_is_unknown_and_the_note_says_what_to_set():
    stages = estimate(experiment(estimate={}))
    readings = table(stages).set_index("stage").loc["readings"]
    assert readings["tokens"] == 110 * 980
    assert readings[["hours", "per_second", "gigabytes"]].isna().all()
    notes = estimate_table(stages).notes
    assert any("no reading with smollm2" in one and "estimate.models.NAME" in one for one in notes)
    unbounded = {"prompt": {"document_tokens": None}, "reading": {}}
    notes = estimate_table(estimate(experiment(**unbounded))).notes
    assert any("estimate.document_tokens" in one for one in notes)
    one = experiment(**unbounded, estimate__document_tokens=30)
    assert rows(one)["readings", "smollm2"].tokens == 110 * (10 * 38 + 100)
    assert not any("Unknown" in one for one in estimate_table(estimate(one)).notes)


def test_a_folder_of_the_user_s_tells_documents_queries_and_lengths(tmp_path):
    """By hand: two documents of 24 and 16 characters, of 4 a token."""
    folder = written(tmp_path / "own")
    lines = [
        {"doc_id": "d1", "title": "t" * 8, "text": "x" * 15},
        {"doc_id": "d2", "text": "y" * 16},
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    config = {
        "collections": {
            "own": {"source": {"kind": "local", "path": str(folder)}},
            "far": {"source": {"kind": "ir_datasets"}},
        },
        "sets": {
            "all": {"collection": "own", "split": "test", "take": None, "skip": 0},
            "few": {"collection": "own", "split": "train", "take": 5, "skip": 0},
            "none": {"collection": "own", "split": "nope", "take": 5, "skip": 0},
            "far": {"collection": "far", "split": "test", "take": 5, "skip": 0},
        },
    }
    assert own_corpora(config) == {"own": Corpus(2, (24 + 16) / 2 / 4)}
    # Of the split test one query of two has a relevant document.
    assert own_queries(config) == {"all": 1, "few": 1}
    unbounded = experiment(prompt={"document_tokens": None}, reading={})
    known = Known(corpus_tokens=dict.fromkeys(unbounded["collections"], 5.0))
    assert rows(unbounded, known)["readings", "smollm2"].tokens == 110 * (10 * 13 + 100)
