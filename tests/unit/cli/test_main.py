"""The headrank command: its arguments, its help, and how it is as a process."""

import argparse
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from typing import get_args

import pytest

from headrank.align.options import (
    PROJECTIONS,
    REGULARISERS,
    SCALES,
    AlignOptions,
    Reference,
    Tokens,
)
from headrank.cli import main, options, parser
from headrank.cli.profile import SELECTED
from headrank.heads.criteria import CRITERIA
from headrank.models.decoder import DTYPES
from headrank.options.fold import MAX_LOGIT
from headrank.options.prompt import LAYOUTS, QUERY_OFFSET
from headrank.options.selection import SELECTIONS
from headrank.ranker.options import METHODS
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import ROOT, refused

# pytest finds a fixture by its name in the module that uses it.
heads = command_line.heads
model = command_line.model


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["rank"],
        ["rerank", "lists.jsonl"],
        ["rerank", "lists.jsonl", "--model", "m", "--method", "rankgpt"],
        ["rerank", "lists.jsonl", "--model", "m", "--order", "random"],
        ["rerank", "lists.jsonl", "--model", "m", "--seed", "-1"],
        ["rerank", "lists.jsonl", "--model", "m", "--top", "many"],
        *(
            ["profile", "l", "--model", "m", "-o", "x", "--entropy-weight", value]
            for value in ("nan", "inf", "1_0", "٣", "0x1", "")
        ),
        ["align", "l", "--model", "m", "--heads", "h", "-o", "x", "--learning-rate", "nan"],
        ["bm25", "c", "--k1", "inf"],
        ["evaluate", "x.run"],
    ],
)
def test_wrong_arguments_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_code:
        main(arguments)
    assert exit_code.value.code == 2
    assert "usage: headrank" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rerank", "l", "--run", "r", "--model", "m"], "give l or --run r, not both"),
        (["rerank", "--run", "r", "--model", "m"], "--run needs --collection"),
        (["rerank", "l", "--depth", "3", "--model", "m"], "--depth goes with --run"),
        (["rerank", "l", "--name", "a b", "--model", "m"], "--name is 'a b'"),
    ],
)
def test_arguments_that_contradict_exit_with_2(arguments, message, capsys):
    assert message in refused(capsys, arguments, code=2)


def test_every_command_has_help(capsys):
    for command in ("rerank", "profile", "align", "bm25", "evaluate", "fetch", "info"):
        with pytest.raises(SystemExit) as exit_code:
            parser().parse_args([command, "--help"])
        assert exit_code.value.code == 0
        assert f"usage: headrank {command}" in capsys.readouterr().out


def test_choices_are_those_of_the_library():
    assert set(options.METHODS) == set(METHODS)
    assert set(options.CRITERIA) == {*CRITERIA, MAX_LOGIT}
    assert set(options.DTYPES) == set(DTYPES)
    assert (options.LAYOUTS, options.QUERY_OFFSET) == (LAYOUTS, QUERY_OFFSET)
    assert tuple(SELECTIONS) == SELECTED and set(SELECTED) < set(METHODS)


def test_the_defaults_that_align_prints_are_the_library_s():
    command = next(iter(parser()._subparsers._group_actions)).choices["align"]
    known = {field.name: field.default for field in dataclasses.fields(AlignOptions)}
    told = {
        action.dest: re.search(r"\(default: ([^)]+)\)$", action.help)[1]
        for action in command._actions
        if action.dest in known and action.dest != "both_layouts"
    }
    assert len(told) == 12
    for name, value in told.items():
        assert type(known[name])(value) == known[name]
    choices = {a.dest: a.choices for a in command._actions if a.dest in known and a.choices}
    assert choices == {
        "projections": PROJECTIONS,
        "reference": get_args(Reference),
        "scale": SCALES,
        "regulariser": REGULARISERS,
        "tokens": get_args(Tokens),
    }


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom headrank.cli import main\n"
        "try:\n    main(['rerank', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pandas', 'yaml'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_the_command_as_a_process(tmp_path, capsys, monkeypatch, heads, model):
    lines = json.dumps({"query": "what pays", "docs": list(tiny.TEXTS)}) + "\n"
    arguments = ["rerank", "-", "--model", model, "--heads", heads, "--quiet", "--threads", "1"]
    command = [sys.executable, "-m", "headrank.cli", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, input=lines, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)["docs"]) == 6
    assert result.stderr == ""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}\n")))
    capsys.readouterr()  # the bar of a model that was made for this test
    assert main(arguments) == 1
    assert capsys.readouterr().err == "headrank: <stdin>:1: 'query' is missing\n"


@pytest.mark.parametrize("text", ["1_0", "١", "１", "+1", "1.0", " 1", "1e3", "9" * 5000, ""])
def test_numbers_are_digits_alone(text):
    for parse in (options.whole(1), options.digits):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number"):
            parse(text)
    assert options.whole(1)("10") == options.digits("10") == 10
