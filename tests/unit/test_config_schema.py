"""The schema: it names what the library knows, fills defaults, and fits the shipped configs."""

import itertools
import re
from copy import deepcopy
from dataclasses import asdict

import pytest
import yaml
from base_config import BASE, ROOT, SCHEMA
from snakemake.utils import update_config

from headrank.align.losses import REGULARISERS, SCALES
from headrank.align.options import PROJECTIONS, REFERENCES, SCHEDULES, AlignOptions
from headrank.builders import BUILDERS, bright, repositories
from headrank.config import LISTWISE, configure, cross_problems
from headrank.errors import HeadRankError
from headrank.generation.protocols import PROTOCOLS, GenerativeMethod
from headrank.layout import LAYOUTS
from headrank.lists import ORDER, POOLS
from headrank.methods import AGGREGATIONS, Fold
from headrank.pairs import HARDNESS, PairOptions
from headrank.profile import CRITERIA
from headrank.prompt import OVERLONG, ROWS, PromptOptions
from headrank.schema import fill


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_configs_are_valid_and_say_how_to_run(path):
    head = re.match(r"(#.*\n)+", path.read_text())[0]
    assert re.search(r"^#\s+(make|snakemake) ", head, re.M)
    # A config that changes another one names both in its command, in the order of merging.
    named = re.findall(r"config/[a-z_]+\.yaml", head) or [f"config/{path.name}"]
    assert f"config/{path.name}" in named
    config = {}
    for name in named:
        update_config(config, yaml.safe_load((ROOT / name).read_text()))
    configure(config, SCHEMA)


def test_defaults_are_filled_in_nested_parts():
    config = deepcopy(BASE)
    for key in ("first_stage", "reading", "prompt", "seed"):
        del config[key]
    configure(config, SCHEMA)
    assert config["first_stage"] == {"depth": 100, "k1": 0.9, "b": 0.4}
    assert config["reading"]["shards"] == 1
    assert config["sets"]["lee"]["split"] == "test"
    assert config["methods"]["all-raw"] == {
        "kind": "attention",
        "heads": "all",
        "calibrate": False,
        "outliers": False,
        "aggregation": "sum",
        "reselect": False,
        "truncated": False,
    }
    assert "calibrate" not in config["methods"]["bm25"]


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_fold_rules_are_the_library_s(calibrate, outliers, aggregation):
    options = {"calibrate": calibrate, "outliers": outliers, "aggregation": aggregation}
    config = deepcopy(BASE)
    config["methods"]["core"].update(options)
    fill(config, SCHEMA, SCHEMA)
    refused = [text for text in cross_problems(config) if text.startswith("methods.core")]
    try:
        Fold(**options)
    except HeadRankError:
        assert refused
    else:
        assert not refused


def test_schema_names_what_the_library_knows():
    parts = SCHEMA["properties"]
    hub, git = (SCHEMA["$defs"]["collection_source"]["allOf"][n]["then"] for n in (2, 3))
    assert hub["properties"]["task"]["enum"] == list(bright.TASKS)
    builders = [*hub["properties"]["builder"]["enum"], *git["properties"]["builder"]["enum"]]
    assert builders == list(repositories.BUILDERS)
    selection = parts["selections"]["additionalProperties"]["properties"]
    assert set(selection["criterion"]["enum"]) == set(CRITERIA)
    method = parts["methods"]["additionalProperties"]["allOf"][0]["then"]["properties"]
    assert set(method["aggregation"]["enum"]) == set(AGGREGATIONS)
    asked = parts["methods"]["additionalProperties"]["allOf"][1]["then"]["properties"]
    assert tuple(asked["protocol"]["enum"]) == PROTOCOLS
    known = asdict(GenerativeMethod("listwise"))
    assert asked.keys() - {"kind", "orders"} == known.keys()
    own = {name: asked[name]["default"] for name in known if "default" in asked[name]}
    assert own == LISTWISE == {name: known[name] for name in LISTWISE}
    assert set(parts["sets"]["additionalProperties"]["properties"]["pool"]["enum"]) == set(POOLS)
    recipe = parts["alignments"]["additionalProperties"]["properties"]
    assert set(recipe["options"]["properties"]) == set(AlignOptions.__dataclass_fields__)
    assert set(recipe["pairs"]["properties"]) == set(PairOptions.__dataclass_fields__)
    options = recipe["options"]["properties"]
    assert {name: part["default"] for name, part in options.items()} == asdict(AlignOptions())
    assert tuple(options["projections"]["enum"]) == PROJECTIONS
    assert tuple(options["schedule"]["enum"]) == SCHEDULES
    assert tuple(options["reference"]["enum"]) == REFERENCES
    assert tuple(options["scale"]["enum"]) == SCALES
    assert tuple(options["regulariser"]["enum"]) == REGULARISERS
    assert tuple(recipe["pairs"]["properties"]["hardness"]["enum"]) == HARDNESS
    pypi = SCHEMA["$defs"]["collection_source"]["allOf"][0]["then"]["properties"]
    assert set(pypi["builder"]["enum"]) == set(BUILDERS)
    prompt = parts["prompt"]["properties"]
    assert set(prompt) == {field for field in PromptOptions.__dataclass_fields__}
    assert tuple(prompt["rows"]["enum"]) == ROWS
    assert tuple(prompt["overlong"]["enum"]) == OVERLONG
    assert tuple(prompt["layout"]["enum"]) == LAYOUTS
    pattern = re.compile(SCHEMA["$defs"]["order"]["pattern"])
    for words in itertools.product(["first-stage", "reversed", "shuffled", "x"], ["", "-", "-2"]):
        order = "".join(words)
        assert bool(pattern.fullmatch(order)) == bool(ORDER.fullmatch(order))
