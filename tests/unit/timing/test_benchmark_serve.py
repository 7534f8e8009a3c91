"""The benchmark of servers: its systems are what they say, its numbers those of the requests."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import serve
from benchmarks.serve import ENCODER, SYSTEMS, Load, Parts, Server, ranker_of, requests_of
from headrank.baselines.bi_encoder import dense_run
from headrank.errors import HeadRankError
from tests.helpers import command_line, models
from tests.helpers import tiny_models as tiny

collection, heads = command_line.collection, command_line.heads


@pytest.fixture
def parts(tmp_path, heads) -> Parts:
    model, encoder = str(tiny.folder("qwen3")), str(models.save_encoder(tmp_path / "encoder"))
    return Parts(model, encoder, heads, dtype="float32", tokens=40, threads=1)


def scores(ranker) -> dict[str, float]:
    (ranking,) = ranker.rerank_lists([tiny.candidates()])
    return {one.doc_id: one.score for one in ranking}


def test_the_encoder_s_scores_are_the_baseline_s(parts):
    run = dense_run(parts.encoder, [tiny.candidates()], max_tokens=parts.tokens)
    expected = dict(run.rankings["q1"])
    for system in (ENCODER, "encoder, stored"):
        assert scores(ranker_of(system, parts, tiny.TEXTS)) == pytest.approx(expected, rel=1e-4)


def test_what_is_stored_is_not_computed_again(parts, monkeypatch):
    ranker = ranker_of("block, stored", parts, tiny.TEXTS)
    assert len(ranker.store) >= len(tiny.TEXTS)
    assert scores(ranker) == scores(ranker_of("block", parts, ()))
    assert (ranker.store.hits, ranker.store.misses) == (len(tiny.TEXTS), 0)
    encoder = ranker_of("encoder, stored", parts, tiny.TEXTS)
    seen = []
    whole = encoder._embedded
    monkeypatch.setattr(encoder, "_embedded", lambda texts: seen.append(texts) or whole(texts))
    scores(encoder)
    assert seen == [[tiny.candidates().query]]


def test_every_request_has_its_own_query_and_answers(collection):
    load = Load(documents=4, requests=3)
    bodies = requests_of(collection, load)
    assert len({body["query"] for body in bodies}) == 3
    for body in bodies:
        assert len(set(body["documents"])) == 4
        assert {tiny.TEXTS[1], tiny.TEXTS[3]} <= set(body["documents"])
    assert bodies == requests_of(collection, load)
    with pytest.raises(HeadRankError, match="has 3 test queries; ask at most so many --requests"):
        requests_of(collection, replace(load, requests=4))


@pytest.mark.slow
def test_every_system_answers_every_request(parts, collection, tmp_path):
    load = Load(documents=4, requests=3, clients=2, rounds=2)
    bodies = requests_of(collection, load)
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps(list(tiny.TEXTS)))
    table = serve.with_ratios(serve.measure(parts, load, bodies, texts))
    assert table["system"].tolist() == list(SYSTEMS)
    assert (table["requests"] == 3).all() and (table["requests/s"] > 0).all()
    assert (table["p50"] <= table["p99"]).all()
    assert table.set_index("system").loc[ENCODER, ["p50 ratio", "p99 ratio"]].tolist() == [1, 1]


def test_numbers_are_those_of_the_requests():
    server = Server(None, "", seconds=list(np.arange(1, 101) / 10), busy=50.0, cpu=20.0)
    found = serve.row("joint", server)
    assert (found["requests"], found["requests/s"], found["cpu s/request"]) == (100, 2.0, 0.2)
    assert found["p50"] == pytest.approx(5.05) and found["p99"] == pytest.approx(9.901)
    table = pd.DataFrame([found, found | {"system": ENCODER, "p95": found["p95"] / 2}])
    assert serve.with_ratios(table)["p95 ratio"].tolist() == [2.0, 1.0]
