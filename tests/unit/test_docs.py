"""What the documents point at is there."""

import re
from pathlib import Path

import pytest
import yaml

import headrank

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "config/README.md"]
FOLDERS = "headrank|workflow|rules|tests|config|benchmarks|examples|docs|envs|profiles"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_named_files_exist(path):
    text = path.read_text()
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", text)
    # The user's own config and folder stand in examples.
    missing = [n for n in links if not (path.parent / n).exists()]
    missing += [n for n in named if not (ROOT / n).exists()]
    assert not missing


def test_the_figures_that_the_readme_explains_are_of_the_demo():
    names = re.findall(r"`results/figures/smollm2/(\w+)\.png`", (ROOT / "README.md").read_text())
    assert names == ["head_scores", "homogenisation"]
    drawn = (ROOT / "rules/figures.smk").read_text()
    assert all(f'"<results>/figures/{{model}}/{name}.png"' in drawn for name in names)
    demo = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    assert demo["experiment"]["models"] == ["smollm2"]
    assert demo["selections"][demo["methods"][demo["report"]["method"]]["heads"]]["heads"] == 8


def test_citation_and_workflow_are_yaml():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == headrank.__version__
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]["steps"]
    assert steps[-1] == {"run": "bash .ci/run"}
    assert (ROOT / ".ci/run").is_file()


@pytest.mark.parametrize("name, least", [("reliability", 20), ("security", 12)])
def test_every_line_has_the_test_that_it_names(name, least):
    rows = [
        [cell.strip() for cell in line.strip("|\n ").split(" | ")]
        for line in (ROOT / f"docs/{name}.md").read_text().splitlines()
        if line.startswith("| ")
    ][1:]
    assert len(rows) >= least
    for fault, *cells, test in rows:
        assert all(cells), f"no consequence or remedy for: {fault}"
        path, _, name = test.strip("`").partition("::")
        text = (ROOT / path).read_text() if (ROOT / path).is_file() else ""
        assert re.search(rf"^def {name}\(", text, re.M), f"{fault}: there is no {test}"


def test_every_test_of_a_fault_stands_in_the_table():
    table = (ROOT / "docs/reliability.md").read_text()
    for path in sorted((ROOT / "tests/fault").glob("test_*.py")):
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M):
            assert f"{path.relative_to(ROOT).as_posix()}::{name}" in table
