"""A cross-encoder end to end: a classifier from a local folder ranks real queries."""

import pandas as pd
import pytest
import torch

from headrank.baselines.cross_encoder import CrossEncoder
from headrank.collections.set_files import load_lists
from headrank.data.trec import Run
from headrank.workflow.provenance.code_digest import code_digest
from headrank.workflow.provenance.run_metadata import load_metadata
from tests.helpers.classifier import classifier
from tests.workflow.running import ROOT, snakemake, tiny


@pytest.mark.slow
def test_a_local_classifier_ranks(tmp_path):
    folder = tmp_path / "work"
    (folder / "resources").mkdir(parents=True)
    # Its own folder of models: what is converted here must not stay with the repository's.
    for name in ("archives", "collections", "indexes"):
        (ROOT / "resources" / name).mkdir(parents=True, exist_ok=True)
        (folder / "resources" / name).symlink_to(ROOT / "resources" / name)
    path = classifier(tmp_path / "classifier")

    def change(config):
        config["encoders"] = {
            "letters": {"source": {"kind": "local", "path": str(path)}, "max_tokens": 64}
        }
        config["sets"] = {"tags": config["sets"]["tags"]}
        config["methods"] = {
            "bm25": {"kind": "first-stage"},
            "mono": {"kind": "cross-encoder", "encoder": "letters"},
        }
        config["experiment"]["methods"] = ["bm25", "mono", "mono+bm25"]
        config["evaluation"]["comparisons"] = [["mono", "bm25"]]
        config["report"] = {"set": "tags"}
        for key in ("profiling", "selections", "alignments", "ablations"):
            config.pop(key)

    sidecar = "results/runs/tags/mono.ir_metadata.yaml"
    config = tiny(tmp_path / "cross.yaml", change)
    result = snakemake(folder, config, "results/tables/main.csv", sidecar)
    assert result.returncode == 0, result.stdout
    run = Run.load(folder / "results/runs/tags/mono.run")
    # The tiny experiment reads each set in two jobs, and so does the classifier.
    parts = [Run.load(path) for path in sorted((folder / "results/parts/tags/mono").glob("*.run"))]
    assert len(parts) == 2
    assert [query for part in parts for query in part.rankings] == list(run.rankings)
    encoder = CrossEncoder(path, max_tokens=64)
    for candidates in load_lists(folder / "results/sets/tags"):
        scores = encoder.score(candidates).scores
        assert len(set(scores.tolist())) == len(candidates.doc_ids)
        known = dict(run.rankings[candidates.query_id])
        assert [known[d] for d in candidates.doc_ids] == pytest.approx(scores.tolist(), abs=1e-5)
    table = pd.read_csv(folder / "results/tables/main-wide.csv").set_index("method")
    assert table.loc["mono", "section"] == "Cross-encoder"
    assert table.loc["mono + BM25", "section"] == "Fusions"
    described = load_metadata(folder / sidecar)["headrank"]
    assert len(described["made from"]) == 2
    (reader,) = described["read by"]  # the same process description for both shards
    assert reader["device"] == "cpu"
    assert reader["code"] == code_digest(ROOT / "workflow/scripts/rank_by_cross_encoder.py", ROOT)
    assert (
        f"torch=={torch.__version__}"
        in load_metadata(folder / sidecar)["platform"]["software"]["libraries"]["python"]
    )
