"""What Snakemake plans, and what it refuses before any job."""

import math
import random
import re
import shutil
from collections import Counter

import pytest
import yaml

from headrank.workflow.estimate.stages import estimate
from headrank.workflow.timed import BENCHMARKS
from tests.workflow import snakemake_server
from tests.workflow.job_counts import complete, grid, layout
from tests.workflow.running import ROOT, environment, planned, snakemake, tiny

DEMO = ROOT / "config/config.yaml"


def test_demo_is_planned(tmp_path):
    demo = yaml.safe_load(DEMO.read_text())
    jobs = planned(tmp_path / "work", DEMO, "--strict-dag-evaluation", "cyclic-graph")
    experiment, orders = demo["experiment"], demo["orders"]
    used = [demo["methods"][name] for name in experiment["methods"] if "+" not in name]
    folds = [method for method in used if "heads" in method]
    trained = {method["adapter"] for method in folds if "adapter" in method}
    seeds = {name: len(demo["alignments"][name]["seeds"]) for name in trained}
    cells = len(experiment["sets"]) * len(orders)
    apart = {name for name in trained if layout(demo, {"adapter": name}) != "joint"}
    assert apart and apart < trained
    # A joint prompt is read in each order, and documents in blocks once.
    joint = len(orders) * (1 + sum(n for name, n in seeds.items() if name not in apart))
    once = 1 + sum(seeds[name] for name in apart)
    readings = len(experiment["sets"]) * (joint + once) + 2 * len(demo["profiling"]["sets"])
    assert jobs["read"] == demo["reading"]["shards"] * readings
    assert jobs["align"] == sum(seeds.values())
    assert jobs["rank_by_attention"] == cells * sum(
        seeds.get(method.get("adapter"), 1) for method in folds
    )
    assert jobs["fetch_archive"] == 5


def test_every_result_goes_to_the_folder_that_the_config_gives(tmp_path):
    change = tmp_path / "place.yaml"
    change.write_text(yaml.safe_dump({"pathvars": {"results": "kept-<config>", "logs": "told"}}))
    targets = ("all", "ablations", "benchmarks")
    result = snakemake(tmp_path / "work", [DEMO, change], *targets, "--summary")
    assert result.returncode == 0, result.stdout
    lines = [line.split("\t") for line in result.stdout.splitlines() if line.count("\t") > 3]
    kept, shared = sorted({line[0].split("/")[0] for line in lines[1:]})
    assert re.fullmatch("kept-[0-9a-f]{12}", kept) and shared == "resources"


def test_ablations_and_benchmarks_are_planned(tmp_path):
    demo = yaml.safe_load(DEMO.read_text())
    jobs = planned(tmp_path / "work", DEMO, "ablations")
    trained = [f for f in demo["ablations"].values() if f["key"].startswith("alignment.")]
    seeds = len(demo["alignments"]["insuranceqa"]["seeds"])
    assert jobs["align"] == seeds * (1 + sum(len(f["values"]) for f in trained))
    assert (jobs["rank_truncated"], jobs["join_run"]) == (1, 1)
    assert planned(tmp_path / "other", DEMO, "benchmarks")["benchmark"] == len(BENCHMARKS)


def test_a_second_model_doubles_what_is_made_for_each(tmp_path):
    files = [DEMO, ROOT / "config/two_models.yaml"]
    jobs = planned(tmp_path / "work", files, "report")
    # The demo reads an encoder beside the models, and no collection of it has published numbers.
    expected = grid(files) | {"model": 3, "first_stage_check": 0, "report": 1}
    assert {rule: jobs[rule] for rule in expected} == expected
    # Four parts of one model, and four archives of the demo (Lee is left out).
    assert jobs["fetch_archive"] == 8
    for name in ("model_table", "heads_table", "head_scores", "latency_table", "agreement_table"):
        assert jobs[name] == 2, name
    assert jobs["align"] == 2 * 2
    wanted = "results-two-models/tables/main/gemma3-270m.md"
    assert planned(tmp_path / "work", files, wanted)["model_table"] == 1


def test_four_sizes_are_planned(tmp_path):
    files = [DEMO, ROOT / "config/sizes.yaml"]
    jobs = planned(tmp_path / "work", files, "report")
    expected = grid(files) | {"model": 5, "first_stage_check": 0, "report": 1}
    assert {rule: jobs[rule] for rule in expected} == expected
    # The demo's five archives, and the parts of three models.
    assert jobs["fetch_archive"] == 5 + 4 + 6 + 22
    for name in ("model_table", "heads_table", "latency_table", "agreement_table"):
        assert jobs[name] == 4, name
    assert (jobs["align"], jobs["main_table"], jobs["claims"]) == (2 * 4, 1, 1)


def test_claims_are_planned_and_need_an_aligned_method(tmp_path):
    jobs = planned(tmp_path / "work", tiny(tmp_path / "tiny.yaml"), "claims")
    assert (jobs["claims"], jobs["align"], jobs["middle_zone_data"]) == (1, 1, 1)

    def change(config):
        config["experiment"]["methods"] = ["bm25", "core"]
        config["evaluation"]["comparisons"] = [["core", "bm25"]]
        config["report"] = {"set": "tags"}
        config.pop("ablations")

    bare = tiny(tmp_path / "bare.yaml", change)
    assert "claims" not in planned(tmp_path / "bare", bare)
    result = snakemake(tmp_path / "bare", bare, "claims", "--dry-run")
    assert result.returncode != 0
    assert "names no method with an adapter" in result.stdout


TABLES = (
    *("main", "agreement", "measures", "latency", "heads", "middle", "homogenisation", "pairs"),
    *("ablations", "significance", "seeds", "orders", "formatting", "first_stage", "benchmarks"),
)
FIGURES = (
    *("order", "quality_latency", "heads", "homogenisation", "ndcg_by_heads", "middle"),
    *("ndcg_by_depth", "training", "ablations", "learning_curve", "benchmarks"),
)
TARGETS = {*(f"table_{name}" for name in TABLES), *(f"figure_{name}" for name in FIGURES)}


def every_product(config):
    """Change the tiny experiment into one that fills every table and figure."""
    config["orders"].append("reversed")
    config["alignments"]["tags"]["seeds"] = [1, 2]
    config["methods"]["listwise"] = {"kind": "generative", "protocol": "listwise"}
    config["experiment"]["methods"].append("listwise")
    config["report"]["learning_curve"] = ["headrank"]
    published = {"value": 0.5, "source": "a test"}
    config["collections"]["semanlink"]["published"] = {"test": published}
    config["methods"]["icr-block"] = config["methods"]["icr"] | {"layout": "block"}
    config["experiment"]["methods"].append("icr-block")


def bare(config):
    """Change the tiny experiment into one of the first stage alone."""
    config["experiment"]["methods"] = ["bm25"]
    config["evaluation"]["comparisons"] = []
    config["report"] = {"set": "tags"}
    config.pop("ablations")


def test_every_table_and_figure_has_a_name(tmp_path):
    full = tiny(tmp_path / "full.yaml", every_product)
    jobs = planned(tmp_path / "work", full, *sorted(TARGETS))
    assert {name: jobs[name] for name in TARGETS} == dict.fromkeys(TARGETS, 1)
    listed = snakemake(tmp_path / "work", full, "--list-target-rules").stdout.split()
    assert {name for name in listed if re.match("(table|figure)_", name)} == TARGETS
    jobs = planned(tmp_path / "work", full, "table_middle", "figure_ndcg_by_depth")
    assert jobs["middle_table"] == jobs["ndcg_by_depth"] == jobs["ndcg_by_depth_data"] == 1
    assert not {"main_table", "latency", "homogenisation", "ndcg_by_heads"} & jobs.keys()


def test_each_model_has_a_main_table_of_its_own(tmp_path):
    def change(config):
        config["models"]["second"] = {
            "source": {"kind": "local", "path": str(tmp_path)},
            "format": "safetensors",
        }
        config["experiment"]["models"].append("second")

    two = tiny(tmp_path / "two.yaml", change)
    jobs = planned(tmp_path / "work", two, "table_main")
    assert (jobs["main_table"], jobs["model_table"]) == (1, 2)
    wanted = [f"results/tables/main/second.{end}" for end in ("md", "csv", "tex")]
    assert planned(tmp_path / "work", two, *wanted)["model_table"] == 1
    # Without a method that reads a model there is none to tabulate.
    jobs = planned(tmp_path / "bare", tiny(tmp_path / "bare.yaml", bare), "table_main")
    assert jobs["main_table"] == 1 and "model_table" not in jobs


def test_ablations_are_part_of_a_run_only_if_the_report_has_them(tmp_path):
    config = tiny(tmp_path / "with.yaml", lambda c: c["report"].update(ablations=True))
    jobs = planned(tmp_path / "work", config)
    assert (jobs["ablation_table"], jobs["ablation_figure"], jobs["align"]) == (1, 1, 2)
    jobs = planned(tmp_path / "work", tiny(tmp_path / "without.yaml"))
    assert jobs["align"] == 1 and not {"ablation_table", "ablation_figure"} & jobs.keys()
    # None is declared: told before any job, by the config's own check.
    none = tiny(
        tmp_path / "none.yaml", lambda c: c.update(report={"ablations": True}, ablations={})
    )
    result = snakemake(tmp_path / "none", none, "-n")
    assert "report.ablations is true; allowed: false, since ablations is {}" in result.stdout


@pytest.mark.slow
def test_methods_are_timed_on_demand_or_as_part_of_the_report(tmp_path):
    jobs = planned(tmp_path / "work", tiny(tmp_path / "with.yaml"))
    assert (jobs["latency"], jobs["latency_table"]) == (1, 1)
    without = tiny(tmp_path / "without.yaml", lambda c: c["report"].update(latency=False))
    jobs = planned(tmp_path / "work", without)
    assert not {"latency", "latency_first_stage", "latency_table", "quality_latency"} & jobs.keys()
    jobs = planned(tmp_path / "work", without, "timing")
    assert (jobs["latency"], jobs["quality_latency"]) == (1, 1)


@pytest.mark.slow
def test_a_target_needs_no_number_of_cores(tmp_path):
    for target in ("table_main", "ablations", "benchmarks", "report"):
        result = snakemake(
            tmp_path / target, tiny(tmp_path / "tiny.yaml"), target, "--dry-run", cores=None
        )
        assert result.returncode == 0, result.stdout


LACKING = [
    ("table_ablations", "ablations is {}"),
    ("ablations", "ablations is {}"),
    ("table_middle", "experiment.methods names none that reads a model"),
    ("table_significance", "evaluation.comparisons is []"),
    ("figure_heads", "experiment.methods names none of selected heads"),
    ("figure_quality_latency", "experiment.methods names none that reads or asks a model"),
]


@pytest.mark.parametrize(("name", "message"), LACKING, ids=[name for name, _ in LACKING])
def test_a_target_without_files_says_what_the_experiment_lacks(tmp_path, name, message):
    result = snakemake(tmp_path / "work", tiny(tmp_path / "bare.yaml", bare), name, "-n")
    assert result.returncode != 0
    assert message in result.stdout


def test_the_learning_curve_ends_in_the_adapters_of_the_evidence(tmp_path):
    files = [DEMO, *(ROOT / f"config/{name}.yaml" for name in ("alignment", "learning_curve"))]
    evidence, curve = (complete(part)["alignments"] for part in (files[:2], files))
    assert curve["insuranceqa"] == evidence["insuranceqa"]
    jobs = planned(tmp_path / "work", files, "figure_learning_curve")
    # Seven sizes of two seeds, and the evidence's three: each read once, as the unaligned model is.
    assert (jobs["align"], jobs["mine_pairs"]) == (17, 8)


def test_the_order_in_which_rules_are_included_does_not_matter(tmp_path):
    """All but `common.smk`, in an order of its own, list the same rules."""
    for part in ("headrank", "workflow", "config", "envs", "benchmarks"):
        (tmp_path / part).symlink_to(ROOT / part)
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    head, *lines = re.split(r"^(?=include: )", (ROOT / "Snakefile").read_text(), flags=re.M)
    last, _, tail = lines[-1].partition("\n\n\n")
    included = [line.strip() for line in [*lines[:-1], last]]
    assert included[0] == 'include: "rules/common.smk"' and len(included) > 10
    random.Random(13).shuffle(rest := included[1:])
    (tmp_path / "Snakefile").write_text("\n".join([head + included[0], *rest]) + "\n\n\n" + tail)
    listed = [
        snakemake_server.run(["--snakefile", str(file), "--list-rules"], environment(), tmp_path)
        for file in (ROOT / "Snakefile", tmp_path / "Snakefile")
    ]
    assert [one.returncode for one in listed] == [0, 0], listed[1].stdout
    rules, shuffled = (re.findall(r"^\w+$", one.stdout, re.M) for one in listed)
    assert sorted(rules) == sorted(shuffled) and len(rules) > 50


def test_a_config_file_replaces_the_demo(tmp_path):
    jobs = planned(tmp_path / "work", tiny(tmp_path / "tiny.yaml"))
    assert jobs["collection"] == 1
    assert jobs["read"] == 10


# Thousands of jobs: nothing is run, and planning them takes as long as a run.
LARGE = [pytest.param(names, marks=pytest.mark.slow) for names in (["paper"], ["paper", "extra"])]


@pytest.mark.parametrize("names", [*LARGE, ["laptop"]], ids="+".join)
def test_presets_are_planned(tmp_path, names):
    files = [ROOT / f"config/{name}.yaml" for name in names]
    # All that a run without a target makes, and the report.
    jobs = planned(tmp_path / "work", files, "report")
    expected = grid(files) | {"report": 1}
    assert {rule: jobs[rule] for rule in expected} == expected
    stages = estimate(complete(files))
    told = Counter()
    for stage in stages:
        told[stage.stage.partition(" of ")[0]] += stage.jobs
    assert told["collections"] == jobs["collection"]
    assert told["indexes"] == jobs["index"]
    assert told["query sets"] == jobs["query_set"]
    assert told["weights"] == jobs["model"]
    assert all(math.isfinite(size) for row in stages for size in (row.gigabytes, row.fetched))
    assert told["readings"] + told["aligned readings"] == jobs["read"]
    assert told["pairs"] == jobs["mine_pairs"]
    assert told["training"] == jobs["align"]
    assert told["truncated rankings"] == jobs["rank_truncated"]
    generated = sum(n for stage, n in told.items() if stage.startswith("generation"))
    assert generated == jobs["generate"]
    rankings = (
        "rank_by_attention",
        "rank_by_generation",
        "join_run",
        "fuse",
        "rank_by_first_stage",
        "rank_by_encoder",
        "rank_at_random",
    )
    assert told["scores"] == jobs["rank_by_cross_encoder"]
    assert told["rankings"] == sum(jobs[rule] for rule in rankings)
    # The grid's own size, so that a mistake in counting both is seen.
    if names == ["paper"]:
        # 54 adapters, as many readings, 27 of reselection and 3 truncated are the ablations'.
        assert (jobs["read"], jobs["rank_truncated"], jobs["align"]) == (1494, 705, 63)
        # Two orders of listwise, one of each other protocol, in 39 shards a model: HotpotQA in 10,
        # FEVER in 9, NQ in 5, Climate-FEVER in 3, ArguAna and SCIDOCS in 2, the others in one.
        assert jobs["generate"] == 3 * 39 * (2 + 1 + 1)


@pytest.mark.slow
def test_estimate_is_told_and_starts_nothing_else(tmp_path):
    result = snakemake(tmp_path / "work", ROOT / "config/paper.yaml", "estimate")
    assert result.returncode == 0, result.stdout
    assert "| readings | qwen3-4b | 120 |" in result.stdout
    folder = tmp_path / "work/results-paper"
    assert "No such run was made." in (folder / "estimate.md").read_text()
    assert (folder / "estimate.csv").read_text().startswith("stage,model,jobs,")
    # Told anew each time: what earlier runs measured may have changed.
    assert planned(tmp_path / "work", ROOT / "config/paper.yaml", "estimate") == {"estimate": 1}


BROKEN = [
    (lambda c: c.update(sead=1), "sead is not a key; allowed: seed,"),
    (lambda c: c["sets"]["tags"].update(role="test"), "sets.tags.role is 'test'; allowed: evalu"),
    (lambda c: c["methods"]["core"].update(heads="kore"), "methods.core.heads is 'kore'"),
    (lambda c: c.update(candidates=50), "candidates is 50; allowed: at most first_stage.depth, 20"),
]


@pytest.mark.parametrize("change, message", BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_config_starts_no_job(tmp_path, change, message):
    result = snakemake(tmp_path / "work", tiny(tmp_path / "tiny.yaml", change))
    assert result.returncode != 0
    assert message in result.stdout
    assert "Traceback" not in result.stdout
    assert not re.search(r"^Job \d|^rule ", result.stdout, re.M)
    assert not (tmp_path / "work/results").exists()


def test_a_missing_folder_of_the_user_is_named(tmp_path):
    def change(config):
        config["collections"]["semanlink"] = {"source": {"kind": "local", "path": "no/folder"}}

    result = snakemake(tmp_path / "work", tiny(tmp_path / "tiny.yaml", change))
    assert result.returncode != 0
    assert "collections.semanlink.source.path is 'no/folder', and there is" in result.stdout
