"""The description of the config and its JSON schema are those of the types that check it."""

import json
import re
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from headrank.settings.fields import bare, choices_of, fields_of, is_settings, members, type_of
from headrank.workflow.config.docs import README, TABLES, json_schema, main, table, updated
from headrank.workflow.config.keys import Config
from tests.helpers.expected_errors import refused

ROOT = Path(__file__).parents[3]
TEXT = README.read_text()
REMEDY = "run: python -m headrank.workflow.config.docs"


def test_the_tables_are_those_of_the_types():
    assert updated(TEXT) == TEXT, REMEDY


def test_the_schema_is_written_on_demand_and_nothing_else(tmp_path):
    main([str(tmp_path / "schema.json")])
    assert json.loads((tmp_path / "schema.json").read_text()) == json_schema()
    assert README.read_text() == TEXT


def test_a_table_that_is_missing_or_unknown_is_refused():
    with refused("unknown, missing or there twice", "sets"):
        updated(TEXT.replace("<!-- keys: sets -->", "<!-- keys: set -->"))
    with refused("there twice"):
        updated(TEXT + "<!-- keys: sets -->\n<!-- end of keys -->")


def classes(kind):
    """Yield every class of settings inside a type."""
    kind, _ = bare(kind)
    if is_settings(kind):
        yield kind
        for key in fields_of(kind):
            yield from classes(type_of(kind, key))
    for part in members(kind).values():
        yield from classes(part)
    for part in getattr(kind, "__args__", ()):
        if not members(kind):
            yield from classes(part)


def test_every_key_is_described():
    models = dict.fromkeys(classes(Config))
    assert len(models) > 40
    named = set(re.findall(r"`([\w.]+)`", TEXT)) | set(re.findall(r"\w+", TEXT))
    for model in models:
        for key in fields_of(model):
            assert key in named, f"{model.__name__}.{key}"
    rows = [line for name in TABLES for line in table(name).splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    for row in rows:
        _, allowed, default, meaning = (cell.strip() for cell in row.strip("|").split(" | "))
        assert allowed and meaning.endswith("."), row
        # A default is one of the values that are allowed.
        choices = re.findall(r"`([^`]+)`", allowed)
        if choices and default not in ("", "(required)"):
            assert default.strip("`") in choices, row


def merged(*names):
    config = {}
    for name in names:
        update_config(config, yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
    # JSON's keys are texts.
    return json.loads(json.dumps(config))


def test_the_schema_tells_right_from_wrong():
    jsonschema = pytest.importorskip("jsonschema")
    valid = jsonschema.Draft202012Validator(json_schema())
    for names in (["config"], ["config", "alignment"], ["laptop"], ["paper"], ["paper", "extra"]):
        assert not list(valid.iter_errors(merged(*names)))
    for part, change in (
        ("candidates", 1),
        ("candidates", 6.5),
        ("orders", ["shuffled", "shuffled"]),
        ("orders", ["best"]),
        ("sed", 1),
        ("methods", {"a": {"heads": "all", "aggregation": "max"}}),
        ("methods", {"a": {"kind": "dense"}}),
        ("selections", {"a b": {}}),
    ):
        config = merged("config") | {part: change}
        assert list(valid.iter_errors(config)), (part, change)


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_where_a_preset_s_results_go_is_told(path):
    folder = yaml.safe_load(path.read_text()).get("pathvars", {}).get("results", "results")
    section = TEXT.partition("\n## pathvars\n")[2]
    assert f"`{folder}/`" in section


def test_choices_of_a_kind_are_its_classes():
    assert choices_of(type_of(Config, "seed")) == ()
    sources = members(bare(TABLES["sources of collections"])[0])
    assert [tag.strip("<>") for tag in sources][:2] == ["pypi", "ir_datasets"]


def test_a_key_called_a_mapping_has_no_default_or_one():
    """A type that no words describe would be called so, too."""
    rows = [line.split(" | ") for line in TEXT.splitlines() if "| a mapping |" in line]
    assert len(rows) > 5
    for name, _, default, *_ in rows:
        assert default.strip() in ("`{}`", "(required)", ""), name
