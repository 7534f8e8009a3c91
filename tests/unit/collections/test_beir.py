"""BEIR's own folders and records, taken as they are."""

import gzip
import json

import pytest

from headrank.collections.beir import source_files
from headrank.collections.collection import load_queries, validate_collection, verify_collection
from headrank.collections.local import import_local
from headrank.data.trec import Qrels, Run
from tests.helpers.expected_errors import refused

CORPUS = [
    {"_id": "d1", "title": "Wings", "text": "Lift grows.", "metadata": {}},
    {"_id": "d2", "title": "", "text": "Drag slows.", "metadata": {}},
    {"_id": 3, "title": "", "text": "Heat flows.", "metadata": {}},
]
QUERIES = [
    {"_id": "q1", "text": "What makes lift?", "metadata": {}},
    {"_id": 2, "text": "What slows?", "metadata": {}},
]
HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    for name, records in (("corpus", CORPUS), ("queries", QUERIES)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines)
    (folder / "qrels/test.tsv").write_text(HEADER + "q1\td1\t2\nq1\t3\t0\n")
    (folder / "qrels/train.tsv").write_text(HEADER + "2\td2\t1\n")
    return folder


def test_a_folder_is_imported_as_it_is(beir, tmp_path):
    counts = import_local(beir, tmp_path / "made")
    verify_collection(tmp_path / "made")
    assert counts == validate_collection(beir)
    assert (counts["documents"], counts["splits"]) == (3, {"test": 1, "train": 1})
    assert list(load_queries(beir, "train")) == ["2"]
    assert list(load_queries(tmp_path / "made", "train")) == ["2"]
    assert Qrels.load(tmp_path / "made/qrels.tsv").grades == {
        "q1": {"d1": 2, "3": 0},
        "2": {"d2": 1},
    }


def test_packed_files_are_imported(beir, tmp_path):
    expected = import_local(beir, tmp_path / "plain")
    for path in (beir / "corpus.jsonl", beir / "qrels/test.tsv"):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert import_local(beir, tmp_path / "packed") == expected
    assert [path.removeprefix(f"{beir}/") for path in source_files(beir)] == [
        "corpus.jsonl.gz",
        "queries.jsonl",
        "qrels/test.tsv.gz",
        "qrels/train.tsv",
    ]


def test_the_home_folder_is_expanded(beir, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert import_local("~/beir", tmp_path / "made")["documents"] == 3


@pytest.mark.parametrize(
    ("split", "lines", "message"),
    [
        ("dev", "q1\td1\t1\n", r"test\.tsv: query q1 is also judged in dev\.tsv"),
        ("dev", "q9\td1\t1\n", r"dev\.tsv:2: query q9 is not in queries\.jsonl"),
        ("test", "q1\td9\t1\n", r"test\.tsv:2: document d9 \(query q1\) is not in corpus\.jsonl"),
        ("test", "q1\td1\t1.5\n", r"test\.tsv:2: grade '1\.5' is not a whole number"),
        ("test", "q1\t0\td1\t1\n", r"test\.tsv:1: 3 columns, expected 4 .*line 2"),
        ("test", "q1\td1\t1\nq1\t0\td1\t1\n", r"test\.tsv:3: 4 columns, expected 3 \(query-id"),
        ("te st", "q1\td1\t1\n", r"split 'te st'; use letters"),
    ],
)
def test_faults_are_told_by_file_and_line(beir, tmp_path, split, lines, message):
    (beir / f"qrels/{split}.tsv").write_text(HEADER + lines)
    with refused(message):
        import_local(beir, tmp_path / "made")


def test_our_own_file_goes_before_the_folder(beir):
    (beir / "qrels.tsv").write_text("q1 0 d1 1\n2 0 d2 1\n")
    assert set(load_queries(beir)) == set(load_queries(beir, "test")) == {"q1", "2"}


def test_runs_are_measured_by_its_judgments(beir):
    from headrank.evaluation.measures import evaluate

    qrels = Qrels.load(beir / "qrels/test.tsv")
    assert evaluate(Run({"q1": [("d1", 1.0)]}), qrels, ["RR"])["value"].tolist() == [1.0]
