"""The registry of tables and figures: every entry can be made of what it asks for."""

import inspect
import itertools
import re
from copy import deepcopy
from importlib import import_module
from types import SimpleNamespace

import pytest
from jinja2 import Environment, StrictUndefined

from headrank.errors import HeadRankError
from headrank.workflow.config.checks import configure
from headrank.workflow.experiment import Experiment
from headrank.workflow.products import PRODUCTS, product_files, target_files, targets
from headrank.workflow.products.conditions import ways
from tests.helpers.base_config import BASE, ROOT


def full():
    """Return an experiment that can fill every table and figure."""
    config = deepcopy(BASE)
    config["orders"] = ["shuffled", "first-stage", "reversed"]
    config["alignments"]["insuranceqa"]["seeds"] = [1, 2]
    config["methods"]["listwise"] = {"kind": "generative", "protocol": "listwise"}
    config["experiment"]["methods"].append("listwise")
    config["methods"]["icr-block"] = config["methods"]["icr"] | {"layout": "block"}
    config["experiment"]["methods"].append("icr-block")
    config["report"] |= {
        "method": "headrank-untuned",
        "panels": ["headrank-untuned", "headrank"],
        "learning_curve": ["headrank"],
    }
    collection = config["sets"][config["experiment"]["sets"][0]]
    published = {"value": 0.5, "source": "made up for this test"}
    split = collection.get("split", "test")
    config["collections"][collection["collection"]]["published"] = {split: published}
    config["ablations"] = {
        "heads": {"method": "headrank-untuned", "key": "selection.heads", "values": [3]}
    }
    configure(config)
    return Experiment(config, "out")


def bare():
    """Return an experiment of the first stage alone."""
    config = deepcopy(BASE)
    config["experiment"]["methods"] = ["bm25"]
    config["evaluation"]["comparisons"] = []
    config["report"] = {"set": config["experiment"]["sets"][0]}
    config["ablations"] = {}
    configure(config)
    return Experiment(config, "out")


def calls(product, experiment):
    """Yield the wildcards of each file of a product."""
    names = product.names(experiment)
    for values in itertools.product(*names.values()):
        yield SimpleNamespace(**dict(zip(names, values, strict=True)))


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=list(PRODUCTS))
def test_the_function_of_an_entry_takes_its_inputs_and_options(product):
    experiment = full()
    module, _, name = product.function.partition(":")
    assert (ROOT / product.module).is_file()
    function = getattr(import_module(module), name)
    made = list(calls(product, experiment))
    assert made
    for wildcards in made:
        inputs = product.inputs(experiment, wildcards)
        inspect.signature(function).bind(**inputs, **product.options(experiment, wildcards))


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=list(PRODUCTS))
def test_a_caption_prints_what_the_job_has(product):
    experiment = full()
    text = (ROOT / f"workflow/report/{product.caption}.rst").read_text()
    for wildcards in calls(product, experiment):
        params = SimpleNamespace(options=product.options(experiment, wildcards))
        job = SimpleNamespace(params=params, config=experiment.config, wildcards=wildcards)
        shown = Environment(undefined=StrictUndefined).from_string(text).render(snakemake=job)
        assert "{{" not in shown


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=list(PRODUCTS))
def test_an_entry_has_a_caption_and_its_wildcards_are_bounded(product):
    assert (ROOT / f"workflow/report/{product.caption}.rst").read_text().strip()
    bounded = product.constraints(full(), "|".join)
    assert set(re.findall(r"{(\w+)}", product.stem)) == set(bounded)
    assert set(product.constraints(bare(), "|".join)) == set(bounded)
    for pattern in product.patterns("out"):
        assert pattern.startswith(f"out/{product.kind}s/")


def test_every_target_can_be_filled_by_one_experiment_and_says_what_another_lacks():
    experiment = full()
    for target in targets():
        files = target_files(experiment, target)
        assert files and len(files) == len(set(files))
    lacking = set()
    for target in targets():
        try:
            target_files(bare(), target)
        except HeadRankError as error:
            assert re.match(rf"{target}: \S.*(; |\bneeds\b).+", str(error))
            lacking.add(target)
    assert set(targets()) - lacking == {
        "table_main",
        "table_measures",
        "table_benchmarks",
        "figure_benchmarks",
    }


def test_what_is_only_made_on_request_is_no_part_of_a_run():
    experiment = full()
    files = set(product_files(experiment))
    for target in ("table_ablations", "figure_ablations", "table_benchmarks"):
        assert not files & set(target_files(experiment, target))
    experiment.report["ablations"] = True
    files = set(product_files(experiment))
    assert set(target_files(experiment, "table_ablations")) <= files


def test_two_entries_never_write_the_same_file():
    patterns = [path for product in PRODUCTS.values() for path in product.patterns("out")]
    assert len(patterns) == len(set(patterns))


@pytest.mark.parametrize("models", [["smollm2"], ["smollm2", "other"]])
def test_the_report_lists_every_file_by_labels_of_its_own(models):
    """Snakemake's report shows one file of those whose labels are the same."""
    experiment = full()
    experiment.model_names = experiment.config["experiment"]["models"] = models
    experiment.models = dict.fromkeys(models, experiment.models["smollm2"])
    experiment.report["names"] = experiment.report["names"] | {"other": "Another model"}
    listed = [
        tuple(product.labels(experiment, wildcards).items())
        for product in PRODUCTS.values()
        for wildcards in calls(product, experiment)
    ]
    assert len(listed) == len(set(listed)) >= len(PRODUCTS)
    named = {dict(labels).get("model") for labels in listed}
    assert named == {None} if len(models) == 1 else {None, "SmolLM2-135M", "Another model"}


def test_methods_of_a_curve_are_told_apart_by_how_they_read():
    experiment = full()
    one = experiment.declared["headrank"]
    experiment.declared |= {
        "more": one | {"adapter": "more"},
        "other": one | {"adapter": "more", "aggregation": "max-logit"},
    }
    assert ways(experiment, ["headrank", "more"]) == {"headrank": "", "more": ""}
    assert ways(experiment, ["headrank", "more", "other"]) == {
        "headrank": "aggregation log-sum",
        "more": "aggregation log-sum",
        "other": "aggregation max-logit",
    }


def test_a_product_writes_all_its_forms(tmp_path):
    product = PRODUCTS["pairs_table"]
    summary = tmp_path / "summary.csv"
    columns = "chosen_grade,rejected_grade,pairs,queries,mean_margin,misordered"
    summary.write_text(f"{columns}\n1,0,12,3,0.25,0.5\n")
    product.make({"summary": str(summary)}, {}, "insuranceqa, Large", tmp_path / "made")
    assert "**Training pairs, insuranceqa, Large**" in (tmp_path / "made.md").read_text()
    assert {path.name for path in tmp_path.glob("made*")} == {
        f"made{end}" for end in product.endings
    }
