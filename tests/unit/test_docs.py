"""What the documents state as fact: links, files, tests, tables and versions, never prose."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pandas as pd
import pytest
import yaml

import headrank

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "config/README.md"]
FOLDERS = "headrank|workflow|rules|tests|config|benchmarks|examples|docs|envs|profiles"
TABLE_ROW = re.compile(r"^\|(.+)\|$", re.M)


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives a document's headings."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    plain = (re.sub(r"[^\w\- ]", "", head.lower()) for head in heads)
    return {head.replace(" ", "-") for head in plain}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere_and_named_files_exist(path):
    text = path.read_text()
    missing = []
    for name, anchor in re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", text):
        target = path.parent / name if name else path
        there = target.exists() and (not anchor or anchor in anchors(target))
        missing += [] if there else [f"{name}#{anchor}"]
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", text)
    # Files that a reader writes.
    own = {"config/mine.yaml", "config/scifact.yaml"}
    missing += [name for name in named if name not in own and not (ROOT / name).exists()]
    assert not missing


def test_the_readme_is_short_and_its_pictures_are_small():
    assert len((ROOT / "README.md").read_text().split()) <= 900
    shown = re.findall(r"!\[[^\]]+\]\((docs/img/[^)]+)\)", (ROOT / "README.md").read_text())
    assert len(shown) == 3
    for name in shown:
        assert (ROOT / name).stat().st_size < 120_000


def test_every_version_is_the_package_s():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    # What stands above it is not released.
    first = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    job = (ROOT / "profiles/kubernetes/job.yaml").read_text()
    images = re.findall(r"headrank:([\d.]+\d)", (ROOT / "Dockerfile").read_text() + job)
    assert {citation["version"], first[1], *images} == {headrank.__version__}


def test_workflow_of_ci_runs_what_we_run():
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]["steps"]
    assert steps[-1]["run"] == "bash .ci/run"
    assert (ROOT / ".ci/run").is_file()


def rows(text: str) -> list[list[str]]:
    """Return the cells of every row of the tables in a text."""
    return [[cell.strip() for cell in found.split("|")] for found in TABLE_ROW.findall(text)]


def guarantees() -> list[list[str]]:
    """Return the rows of the guarantees' tables that name a test."""
    text = (ROOT / "docs/guarantees.md").read_text().replace(r"\|", "/")
    return [row for row in rows(text) if "::" in row[-1]]


@pytest.mark.parametrize("row", guarantees(), ids=lambda row: row[-1].partition("::")[2][:50])
def test_every_guarantee_has_the_test_that_it_names(row):
    assert len(row) == 4 and all(row)
    file, _, name = row[-1].strip("`").partition("::")
    texts = [path.read_text() for path in (ROOT / "tests").rglob(file)]
    found = any(re.search(rf"^def {name}\(", text, re.M) for text in texts)
    assert found, f"{row[0]}: there is no {row[-1]}"


def test_every_test_of_a_fault_is_a_guarantee():
    named = {row[-1].strip("`") for row in guarantees()}
    made = {
        f"{path.name}::{name}"
        for path in sorted((ROOT / "tests/fault").glob("test_*.py"))
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert made and made <= named


REFRESH = runpy.run_path(str(ROOT / "docs/refresh.py"))


@pytest.mark.parametrize("name", REFRESH["DOCUMENTS"])
def test_the_demo_s_tables_are_those_of_its_files(name):
    """Tables between marks come from docs/data, which the demo wrote (docs/refresh.py)."""
    text = (ROOT / name).read_text()
    assert "<!--demo:" in text
    assert REFRESH["rendered"](text) == text, "run: python docs/refresh.py results"


def numbers_of_the_demo() -> set[str]:
    """Return every number of the demo's files as prose may print it: with 2 to 4 decimals."""
    found: set[str] = set()
    for name in REFRESH["DATA"]:
        table = pd.read_csv(ROOT / "docs/data" / name)
        for column in table.select_dtypes("number"):
            for digits in (1, 2, 3, 4):
                found |= {f"{abs(value):.{digits}f}" for value in table[column].dropna()}
    return found


def test_sentences_about_the_demo_name_numbers_of_its_files():
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## The demo") : text.index("## Results")]
    blocks = re.compile(r"^```.*?^```$|^\|[^\n]*$", re.M | re.S)
    prose = blocks.sub("", section)
    told = set(re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)", prose))
    assert told and told <= numbers_of_the_demo(), told - numbers_of_the_demo()
