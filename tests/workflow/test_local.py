"""A collection of the user's, in real runs that need no model."""

import json
import os
import re

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save

from headrank.data.trec import Run
from headrank.io.files import write_jsonl
from tests.workflow.running import ROOT, copy_of, planned, snakemake

WORDS = ["apple", "bread", "cheese", "dates", "eggs", "flour", "grapes", "honey"]
CONFIG = {
    "models": {"unused": {"source": {"kind": "local", "path": "none"}, "format": "safetensors"}},
    "collections": {"food": {"source": {"kind": "local", "path": "food"}}},
    "sets": {
        "exam": {"collection": "food", "role": "evaluation"},
        "heads": {"collection": "food", "split": "train", "role": "profiling"},
    },
    "first_stage": {"depth": 5},
    "candidates": 3,
    "profiling": {"sets": ["heads"]},
    "methods": {"bm25": {"kind": "first-stage"}, "random": {"kind": "random"}},
    "experiment": {"models": ["unused"], "sets": ["exam"], "methods": ["bm25", "random"]},
    "evaluation": {"comparisons": [["bm25", "random"]], "resamples": 1000},
}
TARGETS = [
    *("results/tables/main.md", "results/sets/roles.json"),
    "results/evaluation/significance.csv",
]


@pytest.fixture
def work(tmp_path):
    """Return a folder with a config and a collection."""
    return given(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a folder in which the targets of several tests were made."""
    folder = given(tmp_path_factory.mktemp("finished"))
    result = snakemake(folder, folder / "config.yaml", *TARGETS)
    assert result.returncode == 0, result.stdout
    return folder


def given(folder):
    """Write a config and a collection into a folder: query N asks for WORDS[N]."""
    food = folder / "food"
    food.mkdir()
    write_jsonl(
        food / "corpus.jsonl",
        (
            {"doc_id": f"d{n}", "title": word.title(), "text": f"{word} and {WORDS[n - 1]}"}
            for n, word in enumerate(WORDS)
        ),
    )
    write_jsonl(
        food / "queries.jsonl",
        [
            {"query_id": f"q{n}", "text": f"Where is {word}?", "split": "test"}
            for n, word in enumerate(WORDS[:4])
        ]
        # The training split asks one of the exam's questions again, in other letters.
        + [
            {"query_id": "t1", "text": "WHERE IS  bread?", "split": "train"},
            {"query_id": "t5", "text": "Where is flour?", "split": "train"},
        ],
    )
    lines = [f"q{n} 0 d{n} 2\n" for n in range(4)] + ["t1 0 d1 1\n", "t5 0 d5 1\n"]
    (food / "qrels.tsv").write_text("".join(lines))
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


@pytest.mark.slow
def test_the_config_that_the_readme_gives_plans_the_user_s_folder(work):
    section = (ROOT / "README.md").read_text().partition("## Your own data\n")[2]
    (work / "mine.yaml").write_text(re.search(r"```yaml\n(.+?)```", section, re.S).group(1))
    (work / "data").mkdir()
    (work / "food").rename(work / "data/mine")
    result = snakemake(work, work / "mine.yaml", "--dry-run")
    assert result.returncode == 0, result.stdout
    for job in (
        "Build the collection mine",
        "Sample the query set mine-test",
        "Read the heads of smollm2 on mine-heads",
        "Select heads of smollm2 as headrank",
        "Rank mine-test by headrank, smollm2",
        "Fuse headrank with bm25",
        "Compare methods with permutation tests",
        "Tabulate: methods",
    ):
        assert job in result.stdout, f'README.md: no job "{job}"'


@pytest.mark.slow
def test_bm25_answers_and_training_drops_what_the_exam_asks(finished):
    table = pd.read_parquet(finished / "results/evaluation/per_query.parquet")
    own = table[(table["method"] == "bm25") & (table["measure"] == "nDCG@10")]
    assert list(own["value"]) == [1.0] * 4
    heads = json.loads((finished / "results/sets/heads/set.json").read_text())
    assert heads["dropped"] == {"t1": "exam"}
    assert heads["queries"] == 1
    roles = json.loads((finished / "results/sets/roles.json").read_text())
    assert roles == {"evaluation": {"exam": 4}, "profiling": {"heads": 1}}
    assert "1 queries, 1 dropped" in (finished / "logs/sets/heads.log").read_text()


@pytest.mark.slow
def test_the_first_stage_is_compared_with_a_published_one(finished, tmp_path):
    work = copy_of(finished, tmp_path / "work")
    config = yaml.safe_load((work / "config.yaml").read_text())
    published = {
        "test": {"value": 0.9, "source": "a paper", "note": "it stems otherwise"},
        "train": {"value": 1.0, "source": "a paper"},
    }
    config["collections"]["food"]["published"] = published
    (work / "config.yaml").write_text(yaml.safe_dump(config))
    result = snakemake(work, work / "config.yaml", "first_stage_check")
    assert result.returncode == 0, result.stdout
    table = pd.read_csv(work / "results/tables/first_stage.csv")
    assert list(table["split"]) == ["test", "train"]
    assert list(table["queries"]) == [4, 2]
    assert list(table["ours"]) == [1.0, 1.0]
    assert list(table["differs"]) == [True, False]
    log = (work / "logs/tables/first_stage.log").read_text()
    assert "food, test: nDCG@10 is 1.0000, published 0.9000" in log
    assert "it stems otherwise" in (work / "results/tables/first_stage.md").read_text()


@pytest.mark.slow
def test_without_published_numbers_the_check_says_what_to_declare(work):
    result = snakemake(work, work / "config.yaml", "first_stage_check")
    assert result.returncode != 0
    assert "set collections.NAME.published" in result.stdout


@pytest.mark.slow
def test_candidates_of_the_folder_are_the_first_stage(work):
    own = Run({f"q{n}": [("d7", 2.0), (f"d{n}", 1.0)] for n in range(4)} | {"t5": [("d5", 1.0)]})
    own.save(work / "food/candidates.run")
    result = snakemake(work, work / "config.yaml", "results/retrieval/food/test.run")
    assert result.returncode == 0, result.stdout
    assert not (work / "resources/indexes").exists()
    run = Run.load(work / "results/retrieval/food/test.run")
    assert run.rankings["q2"] == [("d7", 2.0), ("d2", 1.0)]


@pytest.mark.slow
def test_the_report_of_an_own_experiment_names_the_first_stage_that_it_was(work):
    config = yaml.safe_load((work / "config.yaml").read_text())
    config["collections"]["food"]["runs"] = {"test": "theirs.run"}
    config["report"] = {"panels": []}
    (work / "config.yaml").write_text(yaml.safe_dump(config))
    Run({f"q{n}": [("d7", 2.0), (f"d{n}", 1.0)] for n in range(4)}).save(work / "theirs.run")
    result = snakemake(work, work / "config.yaml", "report")
    assert result.returncode == 0, result.stdout
    report = (work / "results/report.html").read_text()
    assert "First stage: the imported run theirs.run." in report
    # The page that opens begins with the main table as printed, and is laid out for it.
    assert re.search(r'workflow_desc = "<div[^>]*>\\n<table> <caption>nDCG@10 by method', report)
    assert r"<td class=\"text\">Imported first stage</td><td>0.631</td>" in report
    assert '"results/tables/main.html"' in report and ".prose.max-w-lg { max-width" in report
    assert "Imported first stage" in (work / "results/tables/main.md").read_text()
    # How it ends: the table, the tests, the report; and none of what Snakemake says of its own.
    assert re.search(r"^Imported first stage +0\.\d{3}$", result.stdout, re.M), result.stdout
    assert "of 1 comparisons differ" in result.stdout
    assert "report: results/report.html" in result.stdout
    assert "script code" not in result.stdout
    # A run that changes under its name is read again, whatever its time.
    Run({f"q{n}": [(f"d{n}", 1.0)] for n in range(4)}).save(work / "theirs.run")
    os.utime(work / "theirs.run", (1e9, 1e9))
    assert planned(work, work / "config.yaml")["retrieve"] == 1
    (work / "theirs.run").unlink()
    result = snakemake(work, work / "config.yaml")
    assert "collections.food.runs.test is 'theirs.run', and there is no such path" in result.stdout


def test_a_fault_in_the_data_is_told_with_file_and_line(work):
    with open(work / "food/qrels.tsv", "a") as file:
        file.write("q0 0 nowhere 1\n")
    result = snakemake(work, work / "config.yaml", "resources/collections/food/collection.json")
    assert result.returncode != 0
    assert "food/qrels.tsv:7: document nowhere (query q0) is not in corpus.jsonl" in result.stdout
    assert "Traceback" not in result.stdout
    assert not (work / "resources/collections/food").exists()


@pytest.mark.slow
def test_a_path_that_is_gone_is_told_before_any_job_though_results_are_there(finished, tmp_path):
    work = copy_of(finished, tmp_path / "work")
    config = work / "config.yaml"
    (work / "food").rename(work / "moved")
    result = snakemake(work, config, *TARGETS)
    assert result.returncode != 0
    assert "collections.food.source.path is 'food', and there is no such path" in result.stdout
    assert "Traceback" not in result.stdout and "Building DAG" not in result.stdout


@pytest.mark.slow
def test_a_home_is_expanded_and_a_set_too_large_is_told_at_the_start(work, monkeypatch):
    monkeypatch.setenv("HOME", str(work))
    config = yaml.safe_load((work / "config.yaml").read_text())
    config["collections"]["food"]["source"]["path"] = "~/food"
    config["sets"]["exam"]["take"] = 40
    (work / "config.yaml").write_text(yaml.safe_dump(config))
    result = snakemake(work, work / "config.yaml", *TARGETS)
    assert result.returncode == 0, result.stdout
    assert "sets.exam.take is 40: 4 are taken at most" in result.stdout
    assert "4 queries taken, 40 asked for" in (work / "logs/sets/exam.log").read_text()
    config["sets"]["heads"]["split"] = "trian"
    (work / "config.yaml").write_text(yaml.safe_dump(config))
    result = snakemake(work, work / "config.yaml", *TARGETS)
    assert result.returncode != 0
    assert "sets.heads.split is 'trian'; allowed: test (4 queries), train (2 " in result.stdout


@pytest.mark.slow
def test_a_change_repeats_what_it_decides_whatever_its_time(finished, tmp_path):
    work = copy_of(finished, tmp_path / "work")
    config = work / "config.yaml"
    food = work / "food"

    def add(split, text):
        with open(food / "queries.jsonl", "a") as file:
            file.write(json.dumps({"query_id": "n", "text": text, "split": split}) + "\n")
        with open(food / "qrels.tsv", "a") as file:
            file.write("n 0 d6 1\n")
        # As of files that were moved or unpacked.
        for path in food.iterdir():
            os.utime(path, (1e9, 1e9))

    add("dev", "Where is grapes?")
    assert planned(work, config, *TARGETS) == {"collection": 1}
    kept = [(food / name).read_text() for name in ("queries.jsonl", "qrels.tsv")]
    assert snakemake(work, config, *TARGETS).returncode == 0
    assert planned(work, config, *TARGETS) == {}

    for name, text in zip(("queries.jsonl", "qrels.tsv"), kept, strict=True):
        (food / name).write_text(text.replace("dev", "train"))
        os.utime(food / name, (1e9, 1e9))
    # In one call with what else changed: no reason of a job behind the collection is lost.
    jobs = planned(work, config, *TARGETS)
    assert jobs["collection"] == jobs["retrieve"] == jobs["query_set"] == 1
    assert not jobs.keys() & {"index", "rank_at_random", "main_table", "evaluate"}
    assert jobs["check_roles"] == 1
    changed = yaml.safe_load(config.read_text()) | {"candidates": 2}
    config.write_text(yaml.safe_dump(changed))
    jobs = planned(work, config, *TARGETS)
    assert (jobs["query_set"], jobs["rank_at_random"], jobs["main_table"]) == (2, 1, 1)
    assert snakemake(work, config, *TARGETS).returncode == 0
    heads = json.loads((work / "results/sets/heads/set.json").read_text())
    assert (heads["queries"], heads["candidates"]) == (2, 2)
    assert planned(work, config, *TARGETS) == {}


CARD = "resources/models/unused/headrank.json"


def weights(path, value):
    """Write a model's weights in place: the folder keeps its time."""
    data = save({"one": torch.full((2, 2), float(value))}, metadata={"format": "pt"})
    with open(path, "wb") as file:
        file.write(data)


@pytest.fixture
def model(work):
    """Return the folder of the config's model, with one more folder and what a tool keeps."""
    folder = work / "none"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / ".cache").mkdir()
    for name in ("config.json", "tokenizer.json", "1_Pooling/config.json", ".cache/times"):
        (folder / name).write_text("{}")
    weights(folder / "model.safetensors", 1)
    return folder


@pytest.mark.slow
def test_weights_overwritten_in_place_are_prepared_again(work, model):
    def digest():
        return json.loads((work / CARD).read_text())["sha256"]["model.safetensors"]

    config = work / "config.yaml"
    result = snakemake(work, config, CARD)
    assert result.returncode == 0, result.stdout
    first = digest()
    assert planned(work, config, CARD) == {}
    (model / ".cache/times").write_text("{} ")
    assert planned(work, config, CARD) == {}
    (model / "1_Pooling/config.json").write_text("[]")
    assert planned(work, config, CARD) == {"model": 1}
    before = model.stat().st_mtime_ns
    weights(model / "model.safetensors", 2)
    assert model.stat().st_mtime_ns == before
    assert planned(work, config, CARD) == {"model": 1}
    result = snakemake(work, config, CARD)
    assert result.returncode == 0, result.stdout
    assert digest() != first
    assert planned(work, config, CARD) == {}
    # An earlier version left no list of its files: without its card, which Snakemake deletes
    # before the job, the folder could be a user's own.
    made = work / "resources/models"
    assert [path.name for path in made.iterdir()] == ["unused"]
    (made / "unused/.headrank.json").unlink()
    earlier, second = (made / "unused/model.safetensors").read_bytes(), digest()
    weights(model / "model.safetensors", 3)
    result = snakemake(work, config, CARD)
    assert result.returncode == 0, result.stdout
    assert digest() not in (first, second)
    assert (made / "unused.before/model.safetensors").read_bytes() == earlier
    assert "unused.before; delete it" in (work / "logs/models/unused.log").read_text()


def test_a_model_folder_that_is_missing_is_named(work):
    result = snakemake(work, work / "config.yaml", CARD)
    assert result.returncode != 0
    assert "Missing input files for rule model" in result.stdout
    assert re.search(r"^\s+none$", result.stdout, re.M), result.stdout
