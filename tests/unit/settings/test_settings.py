"""Options are checked when they are made, by the same types as the config, and cost little."""

import argparse
import dataclasses
import itertools
import pickle
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from headrank.align.options import AlignOptions
from headrank.baselines.generation.protocols import GenerativeMethod
from headrank.cli import align
from headrank.errors import HeadRankError
from headrank.options.fold import Fold
from headrank.options.generative import GenerativeOptions
from headrank.options.pairs import PairOptions
from headrank.options.prompt import PromptOptions
from headrank.options.selection import SelectionOptions
from headrank.settings.fields import choices_of, fields_of, type_of
from headrank.settings.words import explain
from headrank.workflow.config.checks import configure
from headrank.workflow.config.keys import Config
from tests.helpers.base_config import BASE
from tests.helpers.expected_errors import refused

ROOT = Path(__file__).parents[3]
CLASSES = {
    PromptOptions: ("prompt",),
    Fold: ("methods", "all-raw"),
    SelectionOptions: ("selections", "core"),
    PairOptions: ("alignments", "insuranceqa", "pairs"),
    AlignOptions: ("alignments", "insuranceqa", "options"),
    GenerativeOptions: ("methods", "ask"),
}
NEEDED = {GenerativeOptions: {"protocol": "listwise"}}
VALUES = [True, False, None, 0, 1, -1, 3, 0.5, 1.0, 2.0, float("nan"), float("inf"), "", "x", "8"]
VALUES += ["none", "1e-3", [], [0, 3], [3, 0], {}, 10**30]


def part_problems(part, value):
    """Return what the config's types say of one of its parts."""
    kind = type_of(Config, part)
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        return explain(error, kind, part)
    return []


@pytest.mark.parametrize("options", CLASSES, ids=lambda cls: cls.__name__)
def test_the_library_and_the_config_refuse_the_same(options):
    part, *below = CLASSES[options]
    allowed, own = 0, NEEDED.get(options, {})
    for key, value in itertools.product(fields_of(options), VALUES):
        config = deepcopy(BASE[part])
        if options is GenerativeOptions:
            config["ask"] = {"kind": "generative"} | own
        place = config
        for name in below:
            place = place.setdefault(name, {})
        place[key] = value
        found = part_problems(part, config)
        try:
            options(**own | {key: value})
        except HeadRankError as error:
            # The same words, behind the place in the config.
            said = str(error).partition(".")[2]
            assert found == [f"{'.'.join(CLASSES[options])}.{said}"]
        else:
            allowed += 1
            assert found == []
    assert allowed >= len(fields_of(options))


def test_options_are_frozen_dataclasses():
    options = SelectionOptions("graded", 4, layers=[0, 3])
    assert options.layers == (0, 3) and options.heads == 4
    assert dataclasses.asdict(options)["criterion"] == "graded"
    assert dataclasses.replace(options, heads=2).heads == 2
    assert pickle.loads(pickle.dumps(options)) == options == deepcopy(options)
    assert hash(options) == hash(deepcopy(options))
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.heads = 3
    with refused(r"selection\.heads is 0; allowed: a whole number from 1"):
        dataclasses.replace(options, heads=0)
    with refused(r"selection\.heads is 0"):
        SelectionOptions("graded", 0)
    with refused(r"generative\.protocol is missing; allowed: listwise, pointwise"):
        GenerativeOptions()
    assert isinstance(GenerativeMethod("listwise", window=4, stride=2), GenerativeOptions)


def test_a_number_stays_as_it_is_written():
    assert type(AlignOptions(learning_rate=1).learning_rate) is int
    config = deepcopy(BASE)
    config["first_stage"] = {"k1": 1, "b": 0}
    configure(config)
    assert [type(config["first_stage"][key]) for key in ("k1", "b")] == [int, int]


def test_every_option_has_a_sentence_and_a_default_that_is_allowed():
    for options in CLASSES:
        made = options(**NEEDED.get(options, {}))
        values = {key: getattr(made, key) for key in fields_of(options)}
        assert options(**values) == made
        assert all(field.description.strip().endswith(".") for field in fields_of(options).values())


def test_the_command_s_choices_are_those_of_the_options():
    top = argparse.ArgumentParser()
    parser = align.add_parser(top.add_subparsers())
    for action in parser._actions:
        key = action.dest
        if action.choices and key in fields_of(AlignOptions):
            assert tuple(action.choices) == choices_of(type_of(AlignOptions, key)), key


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (
            "import headrank.workflow.config.checks, headrank.workflow.config.docs",
            {"numpy", "torch", "pandas", "snakemake"},
        ),
        (
            "import headrank.align.options",
            {"numpy", "torch", "snakemake", "headrank.workflow.config.checks"},
        ),
        ("from headrank.cli import parser; parser().format_help()", {"numpy", "torch", "pydantic"}),
    ],
)
def test_what_options_and_help_import(code, absent):
    report = f"{code}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert not absent & set(done.stdout.split())


def test_the_config_s_own_keys_are_typed():
    assert set(BASE) <= set(fields_of(Config))
