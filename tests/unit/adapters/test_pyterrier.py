"""The transformer in PyTerrier's own pipelines, without its Java."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from headrank.cli import main
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.evaluation.measures import evaluate
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import HEADS, QUERIES
from tests.helpers.rankers import ranker

pt = pytest.importorskip("pyterrier", reason="PyTerrier is not installed: extra pyterrier")
from headrank.adapters.pyterrier import HeadRankTransformer  # noqa: E402

# pytest finds a fixture by its name in the module that uses it.
collection = command_line.collection
heads = command_line.heads
model = command_line.model


@pytest.fixture(scope="module")
def mine():
    return ranker(order="shuffled", heads=HEADS)


def results() -> pd.DataFrame:
    """Return a first stage's results: two queries of five documents, rows in no order."""
    rows = [
        {"qid": q, "query": QUERIES[q], "docno": f"d{i}", "text": tiny.TEXTS[i], "score": 9.0 - i}
        for i in (3, 0, 4, 1, 2)
        for q in ("q0", "q1")
    ]
    return pt.model.add_ranks(pd.DataFrame(rows)).assign(url="u")


def test_a_pipeline_gives_the_scores_of_the_library(mine):
    first = pt.Transformer.from_df(results())
    found = (first >> HeadRankTransformer(mine)).transform(pd.DataFrame({"qid": ["q0", "q1"]}))
    assert set(found.columns) == set(results().columns)
    assert set(found["url"]) == {"u"}
    for name, group in found.groupby("qid"):
        ids = [f"d{i}" for i in range(5)]
        expected = mine.rerank(QUERIES[name], tiny.TEXTS[:5], ids=ids, query_id=name)
        assert group["docno"].tolist() == [one.doc_id for one in expected]
        assert group["score"].tolist() == [one.score for one in expected]
        assert group["rank"].tolist() == list(range(5))


def test_operators_of_pyterrier_compose(mine):
    first = pt.Transformer.from_df(results())
    whole = HeadRankTransformer(mine)(results())
    queries = pd.DataFrame({"qid": ["q0", "q1"]})
    top = (first >> HeadRankTransformer(mine) % 2)(queries)
    assert top["docno"].tolist() == whole[whole["rank"] < 2]["docno"].tolist()
    few = (first % 3 >> HeadRankTransformer(mine, batch=2))(queries)
    assert set(few["docno"]) == {"d0", "d1", "d2"}


def test_an_experiment_of_pyterrier_reads_the_results(mine):
    qrels = pd.DataFrame({"qid": ["q0", "q1"], "docno": ["d1", "d3"], "label": [2, 1]})
    topics = pd.DataFrame({"qid": ["q0", "q1"], "query": [QUERIES["q0"], QUERIES["q1"]]})
    first = pt.Transformer.from_df(results())
    table = pt.Experiment(
        [first, first >> HeadRankTransformer(mine)],
        topics,
        qrels,
        ["ndcg_cut_10"],
        names=["a", "b"],
    )
    assert table["ndcg_cut_10"].between(0, 1).all() and table["ndcg_cut_10"].nunique() == 2


def test_an_empty_frame_and_a_frame_without_texts(mine):
    assert len(HeadRankTransformer(mine)(results().iloc[:0])) == 0
    with pytest.raises(HeadRankError, match=r"no column 'text', only .*get_text"):
        HeadRankTransformer(mine)(results().drop(columns="text"))
    bad = results()
    bad.loc[0, "text"] = " "
    with pytest.raises(HeadRankError, match=r"query q0: passage 4 of 5 is empty"):
        HeadRankTransformer(mine)(bad)
    named = results().rename(columns={"text": "body"})
    assert HeadRankTransformer(mine, text_field="body")(named)["score"].tolist() == (
        HeadRankTransformer(mine)(results())["score"].tolist()
    )


def test_the_command_on_the_same_run_gives_the_same_scores(
    tmp_path, capsys, mine, heads, model, collection
):
    pt.io.write_results(results(), str(tmp_path / "first.run"), format="trec")
    arguments = ["rerank", "--run", str(tmp_path / "first.run"), "--collection", str(collection)]
    arguments += ["--model", model, "--heads", heads, "--quiet", "-o", str(tmp_path / "out.run")]
    assert main(arguments) == 0
    found = pt.io.read_results(str(tmp_path / "out.run"))
    expected = HeadRankTransformer(mine)(results())
    keys = ["qid", "docno", "score"]
    assert json.loads(found[keys].to_json()) == json.loads(expected[keys].to_json())


def test_ir_measures_reads_our_runs(tmp_path, mine):
    ir_measures = pytest.importorskip("ir_measures")
    found = HeadRankTransformer(mine)(results())
    run = Run.from_scores(
        {q: dict(zip(g["docno"], g["score"], strict=True)) for q, g in found.groupby("qid")}
    )
    run.save(tmp_path / "a.run")
    read = list(ir_measures.read_trec_run(str(tmp_path / "a.run")))
    assert {(one.query_id, one.doc_id): one.score for one in read} == {
        (q, d): s for q, ranking in run.rankings.items() for d, s in ranking
    }
    (tmp_path / "qrels").write_text("q0 0 d1 2\nq0 0 d3 1\nq1 0 d3 1\n")
    measured = ir_measures.calc_aggregate(
        [ir_measures.nDCG @ 10], list(ir_measures.read_trec_qrels(str(tmp_path / "qrels"))), read
    )
    own = evaluate(run, Qrels.load(tmp_path / "qrels"), ["nDCG@10"], tell=False)
    assert measured[ir_measures.nDCG @ 10] == pytest.approx(own["value"].mean(), abs=1e-6)
