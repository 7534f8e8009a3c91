"""Ablated settings: methods that differ from a declared one in a single key."""

from copy import deepcopy

import pytest

from headrank.workflow.config.ablations import expand, problems, settings
from headrank.workflow.config.usage import mined_as

CONFIG = {
    "selections": {"top": {"criterion": "graded", "heads": 8, "layers": None}},
    "alignments": {"mine": {"selection": "top", "seeds": [1], "options": {"reference": "none"}}},
    "methods": {
        "bm25": {"kind": "first-stage"},
        "plain": {"kind": "attention", "heads": "top", "calibrate": False},
        "all": {"kind": "attention", "heads": "all", "calibrate": False},
        "aligned": {"kind": "attention", "heads": "top", "calibrate": False, "adapter": "mine"},
    },
}


def expanded(**ablations):
    config = deepcopy(CONFIG) | {"ablations": ablations}
    before = deepcopy(config)
    expand(config)
    for group in ("selections", "alignments", "methods"):
        for name, entry in before[group].items():
            assert config[group][name] == entry  # what was declared stays as it was
    return config


def factor(method, key, *values):
    return {"method": method, "key": key, "values": list(values)}


def test_a_methods_own_key_gives_a_method():
    config = expanded(calibration=factor("plain", "calibrate", True))
    changed = config["methods"]["plain.calibration.yes"]
    assert changed == CONFIG["methods"]["plain"] | {"calibrate": True}
    assert [(s.text, s.method, s.default) for s in settings(config)] == [
        ("no", "plain", True),
        ("yes", "plain.calibration.yes", False),
    ]


def test_a_key_of_the_selection_gives_a_selection():
    config = expanded(layers=factor("plain", "selection.layers", [0, 14], [2, 9]))
    assert config["methods"]["plain.layers.0-14"]["heads"] == "plain.layers.0-14"
    assert config["selections"]["plain.layers.0-14"] == {
        "criterion": "graded",
        "heads": 8,
        "layers": [0, 14],
    }
    assert [s.text for s in settings(config)] == ["all", "0-14", "2-9"]


def test_a_key_of_the_alignment_gives_a_recipe():
    config = expanded(loss=factor("aligned", "alignment.options.reference", "frozen"))
    method = config["methods"]["aligned.loss.frozen"]
    assert method["heads"] == "top"
    assert config["alignments"][method["adapter"]]["options"] == {"reference": "frozen"}
    assert settings(config)[0].text == "none"


def test_a_mapping_changes_several_keys_together():
    config = deepcopy(CONFIG)
    config["alignments"]["mine"]["pairs"] = {"hardness": "hard", "per_query": 16, "per_boundary": 9}
    few = [{"per_query": 4}, {"per_query": 4, "hardness": "random"}]
    config["ablations"] = {"pairs": factor("aligned", "alignment.pairs", *few)}
    assert list(problems(config, "pairs")) == []
    expand(config)
    assert [(s.text, s.default) for s in settings(config)] == [
        ("hardness hard, per_query 16", True),
        ("per_query 4", False),
        ("hardness random, per_query 4", False),
    ]
    adapter = config["methods"]["aligned.pairs.hardness-random-per-query-4"]["adapter"]
    assert config["alignments"][adapter]["pairs"] == {
        "hardness": "random",
        "per_query": 4,
        "per_boundary": 9,
    }
    assert config["alignments"]["mine"]["pairs"]["per_query"] == 16


def test_other_heads_of_an_aligned_method_are_trained_on_their_own():
    config = expanded(K=factor("aligned", "selection.heads", 4))
    method = config["methods"]["aligned.K.4"]
    assert config["alignments"][method["adapter"]]["selection"] == method["heads"]
    assert config["selections"][method["heads"]]["heads"] == 4


def test_expanding_twice_changes_nothing():
    config = expanded(K=factor("aligned", "selection.heads", 4, 16))
    once = deepcopy(config)
    expand(config)
    assert config == once


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (factor("plian", "calibrate", True), "f.method is 'plian'; allowed: plain, all, aligned"),
        (factor("bm25", "calibrate", True), "f.method is 'bm25'; allowed: plain"),
        (factor("plain", "calibrat", True), "key is 'calibrat'; allowed: kind, heads, calibrate"),
        (factor("plain", "selection.head", 4), "below|allowed: criterion, heads, layers"),
        (factor("all", "selection.heads", 4), "all has no selection of heads"),
        (factor("plain", "alignment.seeds", [2]), "plain is not aligned"),
        (factor("aligned", "alignment.options.beta", 2), "allowed below options: reference"),
        (factor("aligned", "alignment.selection.heads", 2), "allowed below selection: none"),
        (factor("plain", "selection.heads", 4, 8), "values has 8 twice, or it is the value"),
        (factor("plain", "selection.heads", 4, 4), "values has 4 twice"),
        (factor("plain", "selection.heads", {"a": 4}), "no mappings, as selection.heads has"),
        (factor("aligned", "alignment.options", "x"), "mappings, as alignment.options has"),
        (factor("aligned", "alignment.options", {"beta": 2}), "names 'beta'; allowed: reference"),
        (
            factor("aligned", "alignment.options", {"reference": "none"}),
            "values has reference none twice",
        ),
    ],
)
def test_a_wrong_factor_is_named_and_adds_nothing(entry, message):
    config = expanded(f=entry)
    (found,) = problems(config, "f")
    assert found.startswith("ablations.f.")
    assert any(part in found for part in message.split("|"))
    if "values" not in found.split(" ")[0]:
        assert config["methods"] == CONFIG["methods"]


def test_recipes_that_differ_in_training_alone_share_their_pairs():
    parts = {"training": ["a"], "queries": 9, "documents": 8, "document_tokens": 48}
    config = deepcopy(CONFIG)
    config["alignments"]["mine"] |= parts | {"pairs": {"hardness": "hard"}}
    config["ablations"] = {
        "loss": factor("aligned", "alignment.options.reference", "frozen"),
        "hardness": factor("aligned", "alignment.pairs.hardness", "random"),
        "size": factor("aligned", "alignment.queries", 5),
        "heads": factor("aligned", "selection.heads", 4),
    }
    expand(config)
    assert mined_as(config) == {
        "mine": "mine",
        "aligned.loss.frozen": "mine",
        "aligned.hardness.random": "aligned.hardness.random",
        "aligned.size.5": "aligned.size.5",
        "aligned.heads.4": "aligned.heads.4",
    }
