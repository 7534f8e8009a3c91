"""The shipped presets pin what ir_datasets records, and test on no training query."""

import itertools
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from headrank.workflow.agreements import twins
from headrank.workflow.config.changes import differences
from headrank.workflow.config.checks import configure
from headrank.workflow.config.keys import stored_dtype
from headrank.workflow.config.roles import roles
from headrank.workflow.config.usage import list_tokens
from headrank.workflow.estimate.stages import estimate
from headrank.workflow.experiment import Experiment

ROOT = Path(__file__).parents[3]


def preset(*names):
    """Return the merged and checked config of some presets."""
    config = {}
    for name in names:
        update_config(config, yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
    configure(config)
    return config


EVERY = [
    *(["config", *more] for more in ([], ["alignment"], ["alignment", "learning_curve"])),
    *(["config", "alignment", "block"], ["folds"], ["folds", "query_tokens"]),
    *(["config", "two_models"], ["config", "sizes"], ["laptop"], ["paper"], ["paper", "extra"]),
]


def test_presets_that_share_a_folder_of_results_give_no_name_two_meanings():
    assert {name for names in EVERY for name in names} == {
        path.stem for path in (ROOT / "config").glob("*.yaml")
    }
    shared, apart = 0, 0
    for one, other in itertools.combinations([preset(*names) for names in EVERY], 2):
        if one.get("pathvars") == other.get("pathvars"):
            assert differences(one, other) == []
            shared += 1
        else:
            apart += bool(differences(one, other))
        # Downloads, models and collections are shared by all.
        for part in ("models", "encoders", "collections"):
            for name in one[part].keys() & other[part].keys():
                assert one[part][name]["source"] == other[part][name]["source"]
    assert shared == 2 and apart > 0


@pytest.mark.parametrize("names", [["paper"], ["paper", "extra"], ["laptop"]], ids="+".join)
def test_pinned_counts_are_those_of_ir_datasets(names):
    ir_datasets = pytest.importorskip("ir_datasets")
    checked = 0
    for collection in preset(*names)["collections"].values():
        source = collection["source"]
        if source["kind"] != "ir_datasets":
            continue
        for part in source.get("splits", {"test": source}).values():
            known = ir_datasets.load(part["id"]).metadata()
            pinned = part["expect"] | source.get("expect", {})
            grades = known["qrels"]["fields"]["relevance"]["counts_by_value"]
            assert {str(grade): n for grade, n in part["expect"]["grades"].items()} == grades
            assert part["expect"]["judgments"] == known["qrels"]["count"]
            assert part["expect"]["queries"] == known["queries"]["count"]
            # What is exported of a corpus is not what it holds if only named documents are.
            if source.get("documents", "all") == "all":
                assert pinned["documents"] == known["docs"]["count"]
            checked += 1
    assert checked == {"paper": 18, "paper+extra": 31, "laptop": 4}["+".join(names)]


@pytest.mark.parametrize("names", EVERY, ids="+".join)
def test_hours_are_estimated_before_anything_is_fetched(names):
    stages = estimate(preset(*names))
    hours = [
        one.hours for one in stages if one.stage.startswith(("reading", "training", "aligned"))
    ]
    assert hours and min(hours) > 0


def test_the_paper_s_numbers():
    config = preset("paper")
    assert len(config["experiment"]["sets"]) == 14
    assert config["candidates"] == 40
    assert config["selections"]["headrank"]["heads"] == 8
    recipe = config["alignments"]["dl21-23"]
    assert recipe["training"] == config["profiling"]["sets"]
    source = config["collections"]["msmarco-v2"]["source"]
    assert sum(part["expect"]["queries"] for part in source["splits"].values()) == 211
    found = roles(config)
    assert {found[name] for name in recipe["training"]} == {"profiling+alignment"}
    # The training labels belong to a collection that nothing is tested on.
    tested = {config["sets"][name]["collection"] for name in config["experiment"]["sets"]}
    assert "msmarco-v2" not in tested
    assert set(preset("paper", "extra")["experiment"]["sets"]) > set(config["experiment"]["sets"])
    # Every benchmark has a published first stage to be compared with.
    for name in config["experiment"]["sets"]:
        entry = config["sets"][name]
        assert entry["split"] in config["collections"][entry["collection"]]["published"]
    demo = preset("config")["models"]
    for name, model in config["models"].items():
        assert model["source"] == demo[name]["source"]


def test_each_method_in_blocks_has_the_recipe_of_its_joint_twin():
    config = preset("config", "alignment", "block")
    x = Experiment(config, "out")
    assert set(twins(x)) == {
        ("icr", "icr-block"),
        ("headrank-untuned", "headrank-block-untuned"),
        ("headrank-untuned", "headrank-query-untuned"),
        ("headrank-25", "headrank-25-block"),
        ("headrank-211", "headrank-211-block"),
        ("headrank", "headrank-block"),
    }
    evidence = preset("config", "alignment")["alignments"]["insuranceqa"]
    curve = preset("config", "alignment", "learning_curve")["alignments"]
    known = {name: curve[name] for name in ("curve-25", "curve-211")} | {"insuranceqa": evidence}
    for name, recipe in known.items():
        assert config["alignments"][name] == recipe | {"seeds": [1]}
        # On largest logits the same again, and nothing else.
        apart = config["alignments"][f"{name}-block"]
        logit = config["alignments"][f"{name}-block-logit"]
        assert logit == apart | {"options": apart["options"] | {"scale": "max-logit"}}
    assert set(twins(Experiment(preset("config"), "out"))) == {
        ("headrank-untuned", "headrank-block-untuned"),
        ("headrank", "headrank-block"),
    }
    for pair in config["evaluation"]["comparisons"]:
        assert set(pair) <= {*config["experiment"]["methods"]}


def test_the_evidence_on_alignment_has_no_method_in_blocks():
    for more in ([], ["learning_curve"]):
        config = preset("config", "alignment", *more)
        assert not [name for name in config["experiment"]["methods"] if "block" in name]
        assert not [name for name in config["report"]["panels"] if "block" in name]


def test_the_sizes_have_one_recipe_and_all_baselines():
    config, demo = preset("config", "sizes"), preset("config")
    assert config["experiment"]["models"] == [
        *("smollm2", "gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
    ]
    # The demo's, among them the same heads and recipe with documents read apart.
    assert config["experiment"]["methods"] == demo["experiment"]["methods"]
    assert {"headrank-block-untuned", "headrank-block"} < {*config["experiment"]["methods"]}
    recipes = config["alignments"]
    changes = {
        key
        for key, value in recipes["insuranceqa"].items()
        if recipes["insuranceqa-block"][key] != value
    }
    assert changes == {"selection"}
    assert config["selections"]["headrank-block"]["layout"] == "block"
    assert len(config["experiment"]["sets"]) == 3
    assert config["sets"]["insuranceqa-test"]["take"] == 100
    # Gemma has 12 heads that see a whole list, and no method may ask for more.
    assert max(entry["heads"] for entry in config["selections"].values()) == 12
    for name, parts in (("qwen2.5-coder-0.5b", 6), ("qwen2.5-coder-1.5b", 22)):
        model = config["models"][name]
        pins = model["source"]["parts"]
        assert [pin["member"].rpartition("/")[2] for pin in pins] == [
            f"part{number:02}.bin" for number in range(1, parts + 1)
        ]
        assert len({pin["sha256"] for pin in pins}) == parts
        assert stored_dtype(model) == "bfloat16"
    # The licence and the origin of weights that others put on the index stand beside them.
    text = (ROOT / "config/sizes.yaml").read_text()
    assert "Apache-2.0" in text and "third parties" in text and "not at hand to compare" in text


def test_a_shard_of_the_paper_s_grid_takes_an_hour_at_most():
    config = preset("paper")
    lists = config["reading"]["tokens_per_shard"] // list_tokens(config)
    assert lists == 750
    work = ("readings", "aligned readings", "truncated rankings", "generation")
    hours = {
        (stage.stage, stage.model): stage.hours / stage.queries * lists
        for stage in estimate(config)
        if stage.stage.startswith(work)
    }
    assert len(hours) == 3 * 6
    assert max(hours.values()) <= 1, hours
    assert round(60 * hours["readings", "qwen3-4b"]) == 22
