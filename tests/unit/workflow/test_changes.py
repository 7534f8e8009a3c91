"""Which results of the same names a changed config replaces."""

import json
from copy import deepcopy

import pytest

from headrank.errors import HeadRankError
from headrank.workflow.config.changes import SHOWN, replaced

CONFIG = {
    "seed": 13,
    "candidates": 20,
    "first_stage": {"depth": 100},
    "prompt": {},
    "models": {},
    "encoders": {},
    "collections": {},
    "profiling": {"sets": []},
    "selections": {},
    "sets": {"exam": {"take": 40}, "other": {"take": 5}},
    "alignments": {"own": {"queries": None, "options": {"rank": 8}}},
    "methods": {"bm25": {"kind": "first-stage"}},
    "report": {"set": "exam"},
}


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"config": CONFIG}))
    return path


def test_nothing_is_replaced_by_the_same_config_or_in_a_new_folder(manifest, tmp_path):
    assert replaced(manifest, CONFIG) is None
    assert replaced(tmp_path / "none.json", CONFIG) is None


def test_changed_values_are_named_with_both(manifest):
    config = deepcopy(CONFIG)
    config["sets"]["exam"]["take"] = 200
    config["candidates"] = 40
    del config["sets"]["other"]["take"]  # all of them
    config["alignments"]["own"] = {"queries": 2600, "options": {"rank": 16}}
    text = replaced(manifest, config)
    for change in (
        "candidates: 20 -> 40",
        "sets.exam.take: 40 -> 200",
        "sets.other.take: 5 -> None",
        "alignments.own.queries: None -> 2600",
        "alignments.own.options.rank: 8 -> 16",
    ):
        assert change in text
    assert "pathvars" in text and "more" not in text


def test_names_of_one_config_alone_and_looks_replace_nothing(manifest):
    config = deepcopy(CONFIG)
    del config["sets"]["other"]
    config["sets"]["new"] = {"take": 1}
    config["report"]["set"] = "new"
    assert replaced(manifest, config) is None


def test_a_long_list_of_changes_is_cut(manifest):
    before = {**CONFIG, "sets": {f"set-{n}": {"take": n} for n in range(SHOWN + 2)}}
    manifest.write_text(json.dumps({"config": before}))
    text = replaced(manifest, {**CONFIG, "sets": {name: {"take": 99} for name in before["sets"]}})
    assert "sets.set-4.take: 4 -> 99 and 2 more." in text and "set-5" not in text


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"files": 1}'])
def test_a_damaged_manifest_is_refused_with_the_remedy(manifest, damaged):
    manifest.write_text(damaged)
    with pytest.raises(
        HeadRankError, match=r"manifest\.json: not a manifest of this version; delete"
    ):
        replaced(manifest, CONFIG)
