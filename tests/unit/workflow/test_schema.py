"""The config names what the library knows, fills defaults, and fits the shipped configs."""

import re
from copy import deepcopy

import pytest
import yaml
from snakemake.utils import update_config

from headrank.collections.builders import BUILDERS, bright, repositories
from headrank.errors import HeadRankError
from headrank.heads.criteria import CRITERIA
from headrank.options import selection
from headrank.options.fold import AGGREGATIONS, MAX_LOGIT, Fold
from headrank.settings.fields import choices_of, fields_of
from headrank.workflow.config.checks import configure, form_problems
from headrank.workflow.config.keys import QuerySet
from headrank.workflow.config.roles import ROLES
from headrank.workflow.config.source_keys import (
    GithubCollection,
    HuggingFaceCollection,
    PypiCollection,
)
from tests.helpers.base_config import BASE, ROOT


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
    configure(config)


def test_defaults_are_filled_in_nested_parts():
    config = deepcopy(BASE)
    for key in ("first_stage", "reading", "prompt", "seed"):
        del config[key]
    configure(config)
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
    refused = [text for text in form_problems(config) if text.startswith("methods.core")]
    try:
        Fold(**options)
    except HeadRankError:
        assert refused
    else:
        assert not refused


def test_the_config_names_what_the_library_knows():
    tasks = choices_of(fields_of(HuggingFaceCollection)["task"].annotation)
    assert tasks == bright.TASKS
    named = [
        choices_of(fields_of(model)["builder"].annotation)
        for model in (PypiCollection, HuggingFaceCollection, GithubCollection)
    ]
    assert set(named[0]) == set(BUILDERS)
    assert [*named[1], *named[2]] == list(repositories.BUILDERS)
    # The functions behind the names of options.
    assert set(selection.CRITERIA) == {*CRITERIA, MAX_LOGIT}
    declared = choices_of(fields_of(QuerySet)["role"].annotation)
    assert {*declared, "validation"} == set(ROLES)
