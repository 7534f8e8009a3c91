"""Joint prompts beside documents that are read apart, in one experiment of real jobs."""

from collections import defaultdict

import pandas as pd
import pytest
import yaml

from headrank.data.heads import HeadSet
from headrank.data.trec import Run
from headrank.io.files import write_jsonl
from headrank.models.safe_loading import load_config
from headrank.reading.layout import layout_of
from headrank.reading.readings import ReadingFile
from headrank.workflow.config.layouts import APART
from tests.helpers.models import TEXTS
from tests.helpers.tiny_models import folder
from tests.workflow.running import planned, snakemake

pytestmark = pytest.mark.slow

ORDERS = ("shuffled", "first-stage", "reversed")
QUERIES = 8
WORDS = ("mortgage", "insurance", "policy", "house")
SPLITS = {"test": 0, "heads": 1, "train": 2, "valid": 3}
METHODS = {
    "bm25": {"kind": "first-stage"},
    "joint": {"heads": "own"},
    "joint-aligned": {"heads": "own", "adapter": "own"},
    "apart": {"heads": "own-apart"},
    "apart-icr": {"heads": "all", "calibrate": True, "outliers": True, "layout": "block"},
    "apart-truncated": {"heads": "own-apart", "aggregation": "mean-z", "truncated": True},
    "apart-aligned": {"heads": "own-apart", "adapter": "apart"},
    "apart-shallow": {"heads": "own-shallow"},
}
CONFIG = {
    "models": {
        "tiny": {
            "source": {"kind": "local", "path": "weights"},
            "format": "safetensors",
            "dtype": "float32",
        }
    },
    "collections": {"food": {"source": {"kind": "local", "path": "food"}}},
    "sets": {
        "exam": {"collection": "food", "role": "evaluation"},
        "heads": {"collection": "food", "split": "heads", "role": "profiling"},
        "train": {"collection": "food", "split": "train", "role": "alignment"},
        "valid": {"collection": "food", "split": "valid", "role": "alignment"},
    },
    "first_stage": {"depth": 8},
    "candidates": 6,
    "orders": list(ORDERS),
    "profiling": {"sets": ["heads"]},
    "selections": {
        "own": {"criterion": "graded", "heads": 3},
        "own-apart": {"criterion": "graded", "heads": 3, "layout": "block"},
        "own-shallow": {"heads": 2, "layers": [0, 0], "layout": "block-tenth"},
    },
    "alignments": {
        "own": {
            "selection": "own",
            "training": ["train"],
            "validation": "valid",
            "seeds": [1],
            "documents": 4,
            "options": {"epochs": 1},
        },
    },
    "methods": METHODS,
    "experiment": {"models": ["tiny"], "sets": ["exam"], "methods": list(METHODS)},
    "evaluation": {"comparisons": [["apart", "joint"]], "resamples": 1000},
    "report": {"panels": ["joint", "apart", "apart-aligned"], "latency": False},
}
CONFIG["alignments"]["apart"] = CONFIG["alignments"]["own"] | {"selection": "own-apart"}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return the folder of a run of every method, and its config."""
    work = tmp_path_factory.mktemp("layouts")
    (work / "food").mkdir()
    (work / "weights").symlink_to(folder("qwen3"))
    texts = [f"{text} {WORDS[n % 4]} {WORDS[(n + 1) % 4]}" for n, text in enumerate(TEXTS)]
    write_jsonl(
        work / "food/corpus.jsonl",
        ({"doc_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(texts)),
    )
    asked = [(split, n) for split in SPLITS for n in range(QUERIES)]
    write_jsonl(
        work / "food/queries.jsonl",
        (
            {"query_id": f"{split}{n}", "text": f"{split} {WORDS[n % 4]} {n}", "split": split}
            for split, n in asked
        ),
    )
    lines = [f"{split}{n} 0 d{place % len(texts)} {grade}\n"
             for split, n in asked for place, grade in ((n, 2), (n + 1, 1))]  # fmt: skip
    (work / "food/qrels.tsv").write_text("".join(lines))
    (work / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    targets = ["table_orders", "table_homogenisation", "table_middle", "table_heads"]
    targets += ["figure_order", "figure_ndcg_by_heads", "figure_heads", "table_main"]
    targets += ["table_agreement", "results/latency/tiny.csv"]
    result = snakemake(work, work / "config.yaml", *targets)
    assert result.returncode == 0, result.stdout
    return work


def test_a_joint_method_is_read_in_each_order_and_one_read_apart_once(work):
    read = defaultdict(set)
    for path in (work / "results/readings/exam").rglob("*.npz"):
        _, adapter, order, _ = path.relative_to(work / "results/readings/exam").parts
        read[adapter].add(order)
        made = ReadingFile(path).meta["provenance"]
        assert layout_of(made["prompt"]) == (order if order in APART else "joint")
    assert read == {
        "none": {*ORDERS, "block", "block-tenth"},
        "own-1": {*ORDERS},
        "apart-1": {"block"},
    }
    assert not planned(work, work / "config.yaml", "table_orders")


def test_layers_that_no_method_of_a_layout_may_use_are_not_read(work):
    whole = load_config(work / "weights").num_hidden_layers
    for order, depth in (("block-tenth", 1), ("block", whole), ("shuffled", whole)):
        [path] = (work / f"results/readings/exam/tiny/none/{order}").glob("*.npz")
        file = ReadingFile(path)
        made = file.meta["provenance"]
        assert made["layers"] == whole > 1
        assert made.get("layers_read") == (depth if depth < whole else None)
        assert {reading.query.shape[0] for reading in file} == {depth}
    # Heads know the model that they belong to, not only the layers that were read.
    heads = HeadSet.load(work / "results/profiles/tiny/heads/own-shallow.json")
    assert heads.provenance["layers"] == whole and heads.deepest == 0


@pytest.mark.parametrize("method", [name for name in METHODS if name.startswith("apart")])
def test_a_method_read_apart_has_the_same_scores_in_every_order(work, method):
    runs = [path for path in (work / "results/runs/exam").rglob(f"{method}.run")]
    assert len(runs) == len(ORDERS)
    assert len({path.read_bytes() for path in runs}) == 1
    assert len(Run.load(runs[0]).rankings) == QUERIES


def test_a_joint_method_has_other_scores_in_another_order(work):
    for method in ("joint", "joint-aligned"):
        runs = [path for path in (work / "results/runs/exam").rglob(f"{method}.run")]
        assert len({path.read_bytes() for path in runs}) == len(ORDERS)


def test_the_tables_of_orders_and_homogenisation_show_both(work):
    orders = pd.read_csv(work / "results/tables/orders-wide.csv").set_index("method")
    for method in ("apart", "apart-icr", "apart-aligned"):
        row = orders.loc[method]
        assert row["difference"] == 0 and row["shuffled"] == row["reversed"]
    zones = pd.read_csv(work / "results/tables/homogenisation/tiny.csv")
    assert {"joint", "apart", "apart-aligned"} <= set(zones["system"])
    shown = (work / "results/tables/heads/tiny.md").read_text()
    assert "own-apart" in shown


def test_both_layouts_of_a_method_are_compared_and_a_stored_one_is_timed(work):
    table = pd.read_csv(work / "results/tables/agreement/tiny-wide.csv")
    # Of two rows the first is the twin, the second the joint method in another order.
    assert len(table) == 2 * 2
    assert table["tau"].between(-1, 1).all() and table["overlap"].between(0, 1).all()
    assert not (table["tau"] == 1).all()
    costs = pd.read_csv(work / "results/latency/tiny.csv")
    assert (costs["seconds"] > 0).all()
    tokens = costs.groupby("method")["tokens"].first()
    assert (
        tokens["apart.stored"] < 100 and 2 * tokens["apart.stored"] < tokens["apart"]
    )  # the query


def test_heads_are_selected_on_a_profile_of_their_layout(work):
    profiles = work / "results/profiles/tiny"
    assert (profiles / "profile.npz").exists() and (profiles / "block/profile.npz").exists()
    # A change of the block heads alone repeats nothing of the joint ones.
    changed = yaml.safe_load((work / "config.yaml").read_text())
    changed["selections"]["own-apart"]["heads"] = 2
    (work / "changed.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    jobs = planned(work, work / "changed.yaml", "results/evaluation/per_query.parquet")
    assert jobs["select_heads"] == 1 and jobs["align"] == 1 and jobs["profile"] == 0
    assert jobs["read"] == 1


def test_a_method_whose_heads_belong_to_another_layout_starts_no_job(work):
    changed = yaml.safe_load((work / "config.yaml").read_text())
    changed["methods"]["joint"]["layout"] = "block"
    (work / "broken.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    result = snakemake(work, work / "broken.yaml", "--dry-run")
    assert result.returncode != 0
    message = "methods.joint.layout is 'block'; allowed: 'joint', the layout of selection own"
    assert message in result.stdout
