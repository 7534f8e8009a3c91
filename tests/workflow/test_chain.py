"""The chain on a real model and real queries, in miniature: results, reruns, kills."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from headrank.data.heads import HeadSet
from headrank.data.trec import Run
from headrank.io.files import sha256
from headrank.reading.readings import ReadingFile
from headrank.workflow.provenance.run_metadata import load_metadata, metadata_path
from tests.workflow.running import (
    TINY,
    copy_of,
    kill_when,
    planned,
    snakemake,
    tiny,
    unrecorded,
    workdir,
)

pytestmark = pytest.mark.slow

CONFIG = yaml.safe_load(TINY.read_text())
# Rules that no change of a method, a measure or a figure may repeat.
COSTLY = {
    "fetch_archive",
    "model",
    "collection",
    "index",
    "retrieve",
    "query_set",
    "read",
    "rank_by_encoder",
    "mine_pairs",
    "align",
}
FIGURES = (
    *("head_scores", "homogenisation", "middle_zone"),
    *("ndcg_by_heads", "ndcg_by_depth", "order_robustness", "quality_latency", "training/tags"),
)
# What follows from the sets of queries.
MADE = (
    *("readings", "profiles", "pairs", "adapters", "runs"),
    *("evaluation", "studies", "tables", "figures"),
)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Return the folder of one finished run."""
    folder = workdir(tmp_path_factory.mktemp("chain") / "finished")
    result = snakemake(folder, TINY)
    assert result.returncode == 0, result.stdout
    return folder


def test_every_product_is_there(finished):
    results = finished / "results"
    for name in ("main", "main/smollm2", "measures"):
        for end in ("csv", "md", "tex"):
            assert (results / f"tables/{name}.{end}").stat().st_size > 100
    for name in FIGURES:
        assert (results / f"figures/smollm2/{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (results / f"figures/smollm2/{name}.png").read_bytes().startswith(b"\x89PNG")
    assert not list(results.rglob("*.part"))


def test_the_ledger_judges_no_claim_by_a_small_run(finished):
    ledger = pd.read_csv(finished / "results/claims.csv", keep_default_na=False)
    known = ledger[ledger["status"] != "analogue"]
    assert len(known) == 18 and set(known["status"]) == {"not run"}
    beside = ledger[ledger["status"] == "analogue"].set_index("claim")
    assert set(beside["model"]) == {"smollm2"}
    assert float(beside.loc["training-queries", "value"]) == 4
    adapter = HeadSet.load(finished / "results/adapters/smollm2/tags-1/heads.json")
    assert beside.loc["depth-truncation", "measured"].startswith(f"{adapter.deepest + 1} of 30 l")
    told = "This run judges 0 of 18 claims, because"
    for end in ("md", "html"):
        text = (finished / f"results/claims.{end}").read_text()
        assert "Analogous numbers" in text and told in text


def test_runs_hold_every_candidate_of_every_query(finished):
    candidates = Run.load(finished / "results/sets/tags/candidates.run")
    assert len(candidates.rankings) == 4
    runs = sorted((finished / "results/runs").rglob("*.run"))
    assert len(runs) == 3 + 2 * 5
    for path in runs:
        rankings = Run.load(path).rankings
        assert {q: {d for d, _ in pairs} for q, pairs in rankings.items()} == {
            q: {d for d, _ in pairs} for q, pairs in candidates.rankings.items()
        }


def test_per_query_values_are_complete(finished):
    table = pd.read_parquet(finished / "results/evaluation/per_query.parquet")
    assert list(table.columns) == [
        *("set", "model", "adapter", "order", "method", "query", "measure", "value")
    ]
    assert len(table) == 4 * 2 * (3 + 2 * 5)
    assert table["value"].between(0, 1).all()
    assert set(table.loc[table["method"] == "bm25", "order"]) == {"-"}
    significance = pd.read_csv(finished / "results/evaluation/significance.csv")
    assert list(significance["n"]) == [4, 4]


def test_readings_tell_where_they_come_from(finished):
    path = finished / "results/readings/tags/smollm2/none/shuffled/0.npz"
    made = ReadingFile(path).meta["provenance"]
    assert (made["layers"], made["heads"], made["order"], made["seed"]) == (30, 9, "shuffled", 13)
    assert made["prompt"]["document_tokens"] == 24
    heads = HeadSet.load(finished / "results/profiles/smollm2/heads/core.json")
    assert len(heads.heads) == 8
    assert heads.provenance["model_digest"] == made["model_digest"]


def test_manifest_traces_every_result(finished):
    manifest = json.loads((finished / "results/manifest.json").read_text())
    assert re.fullmatch("[0-9a-f]{40}", manifest["git"]["commit"])
    assert manifest["config"]["prompt"]["document_tokens"] == 24
    assert manifest["packages"]["torch"]
    assert set(manifest["models"]) == {"smollm2", "minilm"}
    assert set(manifest["collections"]) == {"semanlink"}
    assert "results/tables/main.csv" in manifest["results"]
    run = "results/runs/tags/smollm2/tags-1/shuffled/headrank.run"
    origins = load_metadata(finished / metadata_path(run))["headrank"]["made from"]
    assert {path.split("/")[1] for path in origins} == {"readings", "profiles", "adapters"}
    for path, known in origins.items():
        assert known == manifest["others" if path in manifest["others"] else "results"][path]
    for name, known in manifest["results"].items():
        assert sha256(finished / name) == known


def test_report_is_one_file_with_every_figure(finished):
    # As a user calls it, without a number of cores.
    result = snakemake(finished, TINY, "report", cores=None)
    assert result.returncode == 0, result.stdout
    text = (finished / "results/report.html").read_text()
    for words in ("homogenisation", "significance", "Selection score of every head"):
        assert words in text
    assert '"results/claims.html"' in text


def test_second_run_has_nothing_to_do(finished):
    assert not planned(finished, TINY)


def test_a_method_s_option_repeats_its_rankings_only(finished, tmp_path):
    config = tiny(tmp_path / "changed.yaml", lambda c: c["methods"]["core"].update(outliers=False))
    jobs = planned(finished, config)
    assert jobs["rank_by_attention"] == 2
    assert jobs["evaluate"] == jobs["main_table"] == 1
    assert not COSTLY & jobs.keys()
    assert not jobs.keys() & {"profile", "select_heads"}


def test_a_selection_s_option_selects_again(finished, tmp_path):
    config = tiny(tmp_path / "changed.yaml", lambda c: c["selections"]["core"].update(heads=4))
    jobs = planned(finished, config)
    assert (jobs["select_heads"], jobs["rank_by_attention"], jobs["profile"]) == (1, 2, 0)
    # The method of these heads is timed again, and no other.
    assert jobs["latency"] == 1
    assert not COSTLY & jobs.keys()


def test_a_measure_evaluates_again(finished, tmp_path):
    config = tiny(
        tmp_path / "changed.yaml", lambda c: c["evaluation"].update(measures=["nDCG@10", "AP"])
    )
    jobs = planned(finished, config)
    assert jobs["evaluate"] == 1
    assert not (COSTLY | {"rank_by_attention", "fuse", "profile"}) & jobs.keys()


def test_the_prompt_reads_again(finished, tmp_path):
    config = tiny(tmp_path / "changed.yaml", lambda c: c["prompt"].update(document_tokens=16))
    jobs = planned(finished, config)
    assert jobs["read"] == 10
    assert not (COSTLY - {"read", "mine_pairs", "align"}) & jobs.keys()


def test_another_evaluation_set_leaves_the_others_readings(finished, tmp_path):
    def change(config):
        config["sets"]["more"] = {**config["sets"]["tags"], "skip": 4}
        config["experiment"]["sets"].append("more")

    jobs = planned(finished, tiny(tmp_path / "changed.yaml", change))
    # Profiling and training may hold none of the new queries, so they are sampled, read and
    # trained again; the known set is read again with the new adapter only.
    assert jobs["query_set"] == 1 + 3
    assert jobs["read"] == 2 * 2 * 2 + 2 + 2 * 2


def test_a_killed_run_goes_on_to_the_same_bytes(finished, tmp_path):
    folder = copy_of(finished, tmp_path / "killed")
    readings = folder / "results/readings"
    shutil.rmtree(folder / "logs/readings")
    for name in (*MADE, "manifest.json"):
        path = folder / "results" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def reading() -> bool:
        """Return whether a shard is being read, and all that are whole were recorded as such."""
        whole = {str(path.relative_to(folder)) for path in readings.rglob("*.npz")}
        begun = {
            str("results" / path.relative_to(folder / "logs").with_suffix(".npz"))
            for path in (folder / "logs/readings").rglob("*.log")
            if " of 2 queries" in path.read_text()
        }
        return 0 < len(whole) < 8 and bool(begun - whole) and not whole & unrecorded(folder)

    kill_when(folder, TINY, reading)
    left = list(readings.rglob("*.npz"))
    for path in left:
        assert len(list(ReadingFile(path).lists(tokens=True))) == 2
    # One more shard may have become whole just before the kill.
    recorded = {str(path.relative_to(folder)) for path in left} - unrecorded(folder)
    assert 0 < len(recorded) < 10

    assert snakemake(folder, TINY, "--unlock").returncode == 0
    jobs = planned(folder, TINY)
    assert jobs["read"] == 10 - len(recorded)
    result = snakemake(folder, TINY)
    assert result.returncode == 0, result.stdout
    names = [
        path.relative_to(finished)
        for part in MADE
        for path in sorted((finished / "results" / part).rglob("*"))
        # Seconds differ from run to run, and so does when a run was made.
        if path.is_file() and not re.search(r"latency|ir_metadata", str(path))
    ]
    assert len(names) > 40
    different = [n for n in names if (finished / n).read_bytes() != (folder / n).read_bytes()]
    assert not different


def test_orders_differ_and_lists_do_not(finished):
    shards = {
        order: ReadingFile(finished / f"results/readings/tags/smollm2/none/{order}/0.npz")
        for order in CONFIG["orders"]
    }
    for one, other in zip(*shards.values(), strict=True):
        assert one.query_id == other.query_id
        assert set(one.doc_ids) == set(other.doc_ids)
        assert one.query.shape == (30, 9, 6)
        assert not np.array_equal(one.query, other.query)


def test_every_method_has_a_cost_and_a_value(finished):
    table = pd.read_csv(finished / "results/tables/latency/smollm2.csv").set_index("method")
    assert {"bm25", "minilm", "icr", "core", "headrank-untuned", "headrank"} <= set(table.index)
    assert {"listwise", "pointwise"} <= set(table.index)
    attention = table.loc[["icr", "core", "headrank-untuned", "headrank"]]
    assert (attention["seconds"] > 0).all()
    assert (attention["passes"] == 1).all()
    assert attention["value"].notna().all()
    assert table.loc["pointwise", "passes"] == CONFIG["candidates"]
    assert table.loc[["listwise", "pointwise"], "value"].isna().all()
    log = (finished / "logs/latency/smollm2.log").read_text()
    for method in ("icr", "minilm", "headrank", "listwise"):
        assert f"time {method}: 1 of 1 lists" in log


def test_ablations_change_one_setting(finished, tmp_path):
    folder = copy_of(finished, tmp_path / "ablated")
    result = snakemake(folder, TINY, "ablations")
    assert result.returncode == 0, result.stdout
    table = pd.read_csv(folder / "results/ablations/smollm2.csv").set_index(["factor", "setting"])
    assert [*table.index] == [
        *(("heads", "8"), ("heads", "4")),
        *(("truncation", "no"), ("truncation", "yes")),
        *(("reselection", "no"), ("reselection", "yes")),
        *(("regulariser", "graded-kl"), ("regulariser", "none")),
    ]
    # A prefill that stops at the deepest head ranks as the whole one does.
    assert table.loc[("truncation", "yes"), "difference"] == 0
    profiles = folder / "results/profiles/smollm2"
    trained = HeadSet.load(profiles / "heads/headrank.json")
    (again,) = profiles.glob("aligned/tags-1/heads/headrank.json")
    assert HeadSet.load(again).deepest <= trained.deepest
    assert len(HeadSet.load(profiles / "heads/headrank-untuned.heads.4.json").heads) == 4
    assert (folder / "results/adapters/smollm2/headrank.regulariser.none-1/headrank.json").exists()
    assert r"\begin{tabular}" in (folder / "results/tables/ablations/smollm2.tex").read_text()
    assert (folder / "results/figures/smollm2/ablations.png").stat().st_size > 1000
    # Nothing of the experiment itself is made again.
    assert not planned(folder, TINY)
