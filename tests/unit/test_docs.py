"""What the documents state as fact: links, files, tests, tables and versions, never prose."""

from __future__ import annotations

import re
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
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    job = (ROOT / "profiles/kubernetes/job.yaml").read_text()
    images = re.findall(r"headrank:([\d.]+\d)", (ROOT / "Dockerfile").read_text() + job)
    assert {citation["version"], first[1], *images} == {headrank.__version__}


def test_workflow_of_ci_runs_what_we_run():
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]["steps"]
    assert steps[-1] == {"run": "bash .ci/run"}
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


MAIN = pd.read_csv(ROOT / "docs/data/main.csv").query("order == 'shuffled'")
COSTS = pd.read_csv(ROOT / "docs/data/latency.csv").set_index("method")
TESTS = pd.read_csv(ROOT / "docs/data/significance.csv").set_index(
    ["set", "system", "baseline", "order"]
)
METHODS = {
    "Random": "random",
    "All heads, raw": "all-raw",
    "ICR": "icr",
    "QRHead": "qrhead",
    "CoRe": "core",
    "HeadRank, untuned": "headrank-untuned",
    "HeadRank, untuned, any layer": "headrank-any-layer",
    "HeadRank, untuned + BM25": "headrank-untuned+bm25",
    "HeadRank, aligned": "headrank",
    "HeadRank, aligned + BM25": "headrank+bm25",
    "BM25": "bm25",
    "MiniLM": "minilm",
    "Listwise generation": "listwise",
    "Pointwise yes/no": "pointwise",
}
SETS = {"InsuranceQA": "insuranceqa-test", "Semanlink": "semanlink-test", "Lee": "lee"}


def tables(path: str) -> list[pd.DataFrame]:
    """Return the tables of a document whose first column holds methods of the demo."""
    found = []
    text = (ROOT / path).read_text()
    for part in re.findall(r"(?:^\|.*\n)+", text, re.M):
        head, _, *body = rows(part)
        if head[0].lower() == "method" and {row[0] for row in body} <= set(METHODS):
            found.append(pd.DataFrame(body, columns=head).set_index(head[0]))
    return found


@pytest.mark.parametrize("path", ["README.md", "docs/results.md", "docs/speed.md"])
def test_the_demo_s_numbers_are_those_of_its_files(path):
    """Values, costs and numbers of queries are copied from docs/data, which the demo wrote."""
    shown = 0
    for table in tables(path):
        for head in table.columns:
            name, _, n = head.partition(" (n = ")
            for printed, text in table[head].items():
                method = METHODS[printed]
                if name in SETS and n.rstrip(")").isdigit():
                    cell = MAIN[(MAIN["method"] == method) & (MAIN["set"] == SETS[name])].iloc[0]
                    assert (text, int(n.rstrip(")"))) == (f"{cell['mean']:.3f}", cell["n"])
                elif head == "CPU s" and text:
                    assert text == f"{COSTS.loc[method, 'seconds']:.2f}"
                elif head == "layers" and text:
                    assert float(text) == COSTS.loc[method, "layers"]
                else:
                    continue
                shown += 1
    assert shown >= 12


def test_the_demo_s_comparisons_are_those_of_its_files():
    found = 0
    for table in re.findall(r"(?:^\|.*\n)+", (ROOT / "docs/results.md").read_text(), re.M):
        head, _, *body = rows(table)
        if head[:3] != ["set", "method", "against"]:
            continue
        for name, method, against, n, difference, p, holm in body:
            keys = (SETS[name], METHODS[method], METHODS[against])
            row = TESTS.loc[(*keys, "shuffled")]
            numbers = [float(x) for x in re.findall(r"[-+]?\d+\.\d+", difference.replace("−", "-"))]
            assert numbers == [float(f"{row[k]:.3f}") for k in ("mean_difference", "low", "high")]
            assert (int(n), p.rstrip("*"), holm) == (
                row["n"],
                f"{row['p']:.4f}",
                f"{row['p_holm']:.4f}",
            )
            excluded = row["low"] > 0 or row["high"] < 0
            assert p.endswith("*") == (excluded != (row["p"] < 0.05))
            found += 1
    assert found >= 7
