"""Config files whose text means something else to YAML are refused, with file and line."""

import json
import re
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_config

from headrank.workflow.config.plain_yaml import check_config, load
from tests.helpers.expected_errors import refused

ROOT = Path(__file__).parents[3]


def written(folder, text):
    path = folder / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "read", "message"),
    [
        ("candidates: 1:30", 90, r"1: candidates is written 1:30, which YAML reads as 90; write"),
        ("candidates: 010", 8, r"1: candidates is written 010, which YAML reads as 8; write"),
        ("a:\n  b: [1, 1_0]", {"b": [1, 10]}, r"2: a\.b\.1 is written 1_0, which YAML reads as 10"),
        ("a: 0x10", 16, r"1: a is written 0x10, which YAML reads as 16"),
        ("a: 0b11", 3, r"1: a is written 0b11, which YAML reads as 3"),
        ("a: 1_0.5", 10.5, r"1: a is written 1_0\.5, which YAML reads as 10\.5"),
        ("a: 1:30.5", 90.5, r"1: a is written 1:30\.5, which YAML reads as 90\.5"),
        ("a: .inf", float("inf"), r"1: a is written \.inf; allowed: a finite number"),
        ("a: no", False, r"1: a is written no, which YAML reads as false; write false, or 'no' in"),
        ("a: [x, On]", ["x", True], r"1: a\.1 is written On, which YAML reads as true; write true"),
        ("a: 2024-01-01", ..., r"1: a is written 2024-01-01, which YAML reads as a date; put it"),
        ("a:\n  no: 1", {False: 1}, r"2: the key a\.no is read as true or false by YAML; put it"),
        ("a: 1\nb: 2\na: 3", 3, r"3: a is given twice \(first in line 1\)"),
        ("a: {b: 1, b: 2}", {"b": 2}, r"1: a\.b is given twice \(first in line 1\)"),
        ("a:\n- b: 1\n  c: 2\n  b: 3", [{"b": 3, "c": 2}], r"4: a\.0\.b is given twice"),
    ],
)
def test_what_yaml_reads_in_its_own_way_is_refused(tmp_path, text, read, message):
    # What is refused is what would be taken else.
    taken = yaml.safe_load(text)["a" if text.startswith("a") else "candidates"]
    assert read is ... or taken == read
    path = written(tmp_path, text)
    for call in (load, lambda path: check_config([path])):
        with refused(rf"config\.yaml:{message}"):
            call(path)


def test_a_nan_is_refused(tmp_path):
    with refused(r"config\.yaml:1: a is written \.nan; allowed: a finite number"):
        load(written(tmp_path, "a: .nan"))


def test_every_fault_is_told(tmp_path):
    with refused(r"yaml:1: a is written 010", r"yaml:2: b is written yes", r"yaml:3: a is given"):
        load(written(tmp_path, "a: 010\nb: yes\na: 1"))


@pytest.mark.parametrize(
    "text",
    [
        "a: [0, -7, 1.5, -0.25, 1.0e-3, .5, 1., true, False, null, '010', \"1:30\", 'no', text]",
        "a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\nd: [*x, *x]",
        "'2024': 1\n2024: {expect: {0: 1}}",
        "",
    ],
)
def test_what_is_plain_is_taken_as_it_is(tmp_path, text):
    path = written(tmp_path, text)
    check_config([path])
    assert load(path) == yaml.safe_load(text)


def test_the_shipped_configs_are_plain():
    check_config([*ROOT.glob("config/*.yaml"), *ROOT.glob("tests/**/*.yaml")])


def test_json_is_read_as_json(tmp_path):
    path = written(tmp_path, json.dumps({"a": 1e-3, "b": [True, None]}))
    assert load(path) == {"a": 0.001, "b": [True, None]}
    with refused(r"config\.yaml: b is given twice"):
        load(written(tmp_path, '{"a": {"b": 1, "b": 2}}'))
    with refused("NaN is given; allowed: a finite number"):
        check_config([written(tmp_path, '{"a": NaN}')])


def test_files_that_are_no_yaml(tmp_path):
    with refused(r"config\.yaml:\d: not YAML"):
        load(written(tmp_path, "a: 1\nb: [1"))
    with refused(r"none\.yaml: .*cannot be read"):
        check_config([tmp_path / "none.yaml"])
    path = written(tmp_path, "")
    path.write_bytes("a: é".encode("latin-1"))
    with refused("not UTF-8"):
        load(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "candidates=010"], "--config candidates=010: '010' is read as 10"),
        (["-C", "seed=1_0"], "--config seed=1_0: '1_0' is read as 10; write the number in plain"),
        (["--config=seed=nan"], "--config seed=nan: 'nan' is read as nan"),
        (["--config", "seed=1", "seed=2"], "--config seed=2: seed is given twice"),
        (["-n", "--config", "seed=1", "--config", "seed=٣"], "seed=٣: '٣' is read as 3"),
    ],
)
def test_numbers_of_the_command_line_are_plain(arguments, message):
    with refused(message):
        check_config([], arguments)


@pytest.mark.parametrize(
    ("argument", "read", "told"),
    [
        ("reading={threads: 2}", {"threads": "2"}, "2"),
        ("ablations={heads: {values: [one, 4]}}", {"heads": {"values": ["one", "4"]}}, "4"),
        ("latency={lists: '1', share: 0.5}", {"lists": "1", "share": "0.5"}, "0.5"),
        ("report={latency: true}", {"latency": "true"}, "true"),
        ("flag=true", "true", "true"),
        ("ablations={heads: null}", {"heads": "null"}, "null"),
        ("sets={lee: }", {"lee": ""}, "an empty value"),
        ("ablations=null", "null", "null"),
    ],
)
def test_what_snakemake_takes_for_a_text_is_refused(argument, read, told):
    assert parse_config([argument]) == {argument.partition("=")[0]: read}
    with refused(re.escape(f"--config {argument}: Snakemake reads {told} here as a text; write")):
        check_config([], ["--config", argument])


def test_plain_arguments_are_taken():
    given = [
        "seed=0",
        "candidates=20",
        "flag=True",
        "name=",
        "x={a: [b, '1']}",
        "d={e: 2024-01-01}",
        "loop=&l [*l]",
    ]
    check_config([], ["all", "--config", *given, "-c", "2", "k=010"])
