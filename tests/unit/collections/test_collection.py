"""Collections: reading, saving, and each bad input refused with its own message."""

import json
import re

import pytest

from headrank.collections.collection import (
    iter_documents,
    load_candidates,
    load_documents,
    load_exclusions,
    load_qrels,
    load_queries,
    save_collection,
    validate_collection,
    verify_collection,
)
from headrank.collections.layout import Document, Query, check_id
from headrank.collections.parts import Parts
from headrank.collections.validation import check_counts
from headrank.data.trec import Qrels, Run
from tests.helpers.expected_errors import refused

DOCUMENTS = [
    {"doc_id": "d1", "title": "Wings", "text": "Lift grows with speed."},
    {"doc_id": "d2", "title": "", "text": "Drag slows an aircraft — naïvely said."},
    {"doc_id": "d3", "text": "Heat flows."},
    {"doc_id": "d4", "title": "A title alone", "text": ""},
]
QUERIES = [
    {"query_id": "q1", "text": "What makes lift?", "split": "train"},
    {"query_id": "q2", "text": "What slows an aircraft?"},
]
QRELS = "q1 0 d1 2\nq1 0 d3 0\nq2\t0\td2\t1\n"


def write(folder, documents=DOCUMENTS, queries=QUERIES, qrels=QRELS, **more):
    folder.mkdir(exist_ok=True)
    for name, records in (("corpus.jsonl", documents), ("queries.jsonl", queries)):
        lines = (json.dumps(record, ensure_ascii=False) for record in records)
        (folder / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    (folder / "qrels.tsv").write_text(qrels, encoding="utf-8")
    for name, text in more.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "collection")


def test_documents_stream_in_order_and_titles_are_optional(folder):
    documents = iter_documents(folder)
    assert next(documents) == Document("d1", "Wings", "Lift grows with speed.")
    assert [document.contents for document in documents] == [
        "Drag slows an aircraft — naïvely said.",
        "Heat flows.",
        "A title alone",
    ]
    assert Document("d1", "Wings", "Lift.").contents == "Wings\nLift."


def test_a_null_title_is_no_title(tmp_path):
    folder = write(tmp_path / "c", [{"doc_id": "d1", "title": None, "text": "x"}])
    assert next(iter_documents(folder)).title == ""


def test_only_wanted_documents_are_loaded(folder):
    assert set(load_documents(folder, {"d3", "d1"})) == {"d1", "d3"}
    assert load_documents(folder, []) == {}
    with refused("corpus.jsonl", "2 documents", "d7, d8"):
        load_documents(folder, {"d1", "d8", "d7"})


def test_queries_of_one_split(folder):
    assert list(load_queries(folder)) == ["q1", "q2"]
    assert load_queries(folder, "train") == {"q1": Query("q1", "What makes lift?", "train")}
    assert load_queries(folder, "test") == {"q2": Query("q2", "What slows an aircraft?", "test")}


def test_an_unknown_split_names_the_known_ones(folder):
    with refused("queries.jsonl", "split 'dev'", r"test \(1\), train \(1\)"):
        load_queries(folder, "dev")


def test_qrels_keep_zero_and_negative_grades(tmp_path):
    folder = write(tmp_path / "c", qrels=QRELS + "q2 0 d1 -1\n")
    assert load_qrels(folder).grades == {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1, "d1": -1}}
    assert validate_collection(folder)["grades"] == {"-1": 1, "0": 1, "1": 1, "2": 1}


def test_counts(folder):
    assert validate_collection(folder) == {
        "documents": 4,
        "queries": 2,
        "judged_queries": 2,
        "judgments": 3,
        "grades": {"0": 1, "1": 1, "2": 1},
        "splits": {"test": 1, "train": 1},
    }


def test_optional_files_are_read_and_counted(tmp_path):
    folder = write(
        tmp_path / "c",
        candidates_run="q1 Q0 d2 1 2.5 bm25\nq1 Q0 d1 2 1.5 bm25\n",
        excluded_tsv="q1\td3\n\nq1 d4\n",
    )
    assert load_candidates(folder).rankings == {"q1": [("d2", 2.5), ("d1", 1.5)]}
    assert load_exclusions(folder) == {"q1": {"d3", "d4"}}
    counts = validate_collection(folder)
    assert (counts["candidates"], counts["excluded"]) == (2, 2)


def test_without_optional_files_there_are_none(folder):
    assert load_candidates(folder) is None
    assert load_exclusions(folder) == {}


BAD = {
    "a missing field": (
        {"documents": [{"doc_id": "d1", "title": "a"}]},
        ("corpus.jsonl:1", "field 'text' is missing", "doc_id, title"),
    ),
    "a missing id": ({"documents": [{"text": "a"}]}, ("corpus.jsonl:1", "'doc_id' is missing")),
    "an id that is a fraction": (
        {"documents": [{"doc_id": 7.0, "text": "a"}]},
        ("corpus.jsonl:1", r"'doc_id' is float 7\.0", "string in quotes"),
    ),
    "a number and its digits": (
        {"documents": [*DOCUMENTS, {"doc_id": 7, "text": "a"}, {"doc_id": "7", "text": "a"}]},
        ("corpus.jsonl:6", "doc_id '7' already stands in line 5"),
    ),
    "two names of one id": (
        {"documents": [{"doc_id": "d1", "_id": "d2", "text": "a"}]},
        ("corpus.jsonl:1", "both 'doc_id' and '_id' are given; keep one"),
    ),
    "a missing query text": (
        {"queries": [{"query_id": "q1"}]},
        ("queries.jsonl:1", "'text' is missing"),
    ),
    "a document id twice": (
        {"documents": [*DOCUMENTS, {"doc_id": "d2", "text": "again"}]},
        ("corpus.jsonl:5", "doc_id 'd2' already stands in line 2", "keep one"),
    ),
    "a query id twice": (
        {"queries": [*QUERIES, {"query_id": "q1", "text": "again"}]},
        ("queries.jsonl:3", "query_id 'q1' already stands in line 1"),
    ),
    "an empty text": (
        {"documents": [*DOCUMENTS, {"doc_id": "d5", "title": " ", "text": "\t"}]},
        ("corpus.jsonl:5", "document d5 has an empty text", "empty: drop"),
    ),
    "an empty query": (
        {"queries": [{"query_id": "q1", "text": " "}]},
        ("queries.jsonl:1", "query q1 has an empty text"),
    ),
    "an empty corpus": ({"documents": []}, ("corpus.jsonl", "empty")),
    "no query": ({"queries": []}, ("queries.jsonl", "no query")),
    "a judgment of an unknown document": (
        {"qrels": QRELS + "q2 0 d9 1\n"},
        ("qrels.tsv:4", "document d9", "query q2", "not in corpus.jsonl"),
    ),
    "a judgment of an unknown query": (
        {"qrels": QRELS + "q9 0 d1 1\n"},
        ("qrels.tsv:4", "query q9 is not in queries.jsonl"),
    ),
    "a query without judgments": (
        {"qrels": "q1 0 d1 2\n"},
        ("queries.jsonl:2", "query q2 of split 'test' has no judgments", "unjudged: drop"),
    ),
    "qrels with a header": (
        {"qrels": "query-id corpus-id score\n" + QRELS},
        ("qrels.tsv:1", "3 columns, expected 4"),
    ),
    "two grades for one pair": (
        {"qrels": QRELS + "q2 0 d2 2\n"},
        ("qrels.tsv:4", "grades 1 and 2"),
    ),
    "a document id with white space": (
        {"documents": [{"doc_id": "d 1", "text": "a"}]},
        ("corpus.jsonl:1", "doc_id 'd 1' holds white space"),
    ),
    "a query id with white space": (
        {"queries": [{"query_id": "q1\t", "text": "a"}]},
        ("queries.jsonl:1", "white space"),
    ),
    "a document id with an escape": (
        {"documents": [{"doc_id": "d1", "text": "a"}, {"doc_id": "d\x1b[2J", "text": "a"}]},
        ("corpus.jsonl:2", r"doc_id 'd\\x1b\[2J' holds a control"),
    ),
    "a query id with a null": (
        {"queries": [{"query_id": "q\x00", "text": "a"}]},
        ("queries.jsonl:1", r"query_id 'q\\x00' holds a control"),
    ),
    "an empty id": (
        {"documents": [{"doc_id": "", "text": "a"}]},
        ("corpus.jsonl:1", "doc_id is empty"),
    ),
    "a split that cannot name a file": (
        {"queries": [{"query_id": "q1", "text": "a", "split": "a/b"}]},
        ("queries.jsonl:1", "split 'a/b'"),
    ),
    "a candidate that is unknown": (
        {"candidates_run": "q1 Q0 d1 1 2 x\nq1 Q0 d9 2 1 x\n"},
        ("candidates.run:2", "document d9"),
    ),
    "an exclusion of an unknown query": (
        {"excluded_tsv": "q1 d1\nq7 d1\n"},
        ("excluded.tsv:2", "query q7"),
    ),
    "an exclusion with three columns": (
        {"excluded_tsv": "q1 0 d1\n"},
        ("excluded.tsv:1", "3 columns, expected 2"),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_has_its_own_message(tmp_path, case):
    parts, message = BAD[case]
    with refused(*message):
        validate_collection(write(tmp_path / "c", **parts))


@pytest.mark.parametrize(
    "name", ["corpus.jsonl", "queries.jsonl", "qrels.tsv", "candidates.run", "excluded.tsv"]
)
def test_a_line_that_is_not_utf8_is_named(folder, name):
    path = folder / name
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else [b"q1 d1\n"]
    path.write_bytes(lines[0] + "caf\xe9\n".encode("latin-1"))
    with refused(f"{name}:2", "UTF-8"):
        validate_collection(folder)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_missing_file_is_named_with_the_layout(folder, name):
    (folder / name).unlink()
    with refused(name, "no such file", "corpus.jsonl, queries.jsonl, qrels.tsv"):
        validate_collection(folder)


def test_only_evaluated_splits_need_judgments(tmp_path):
    folder = write(tmp_path / "c", qrels="q1 0 d1 2\n")
    assert validate_collection(folder, evaluated=["train"])["judged_queries"] == 1
    with refused("query q2"):
        validate_collection(folder, evaluated=["test"])


def parts(**others):
    own = {
        "documents": (Document(f"d{i}", "", f"text {i}") for i in range(1, 4)),
        "queries": [Query("q1", "first"), Query("q2", "second", "train")],
        "qrels": Qrels({"q1": {"d1": 2, "d2": 0}, "q2": {"d3": 1}}),
        "description": {"name": "tiny"},
    }
    return Parts(**own | others)


def test_a_saved_collection_reads_back_and_verifies(tmp_path):
    folder = tmp_path / "c"
    run = Run({"q1": [("d2", 2.0)]})
    counts = save_collection(folder, parts(candidates=run, exclusions={"q2": {"d2", "d1"}}))
    assert counts == validate_collection(folder)
    assert [document.doc_id for document in iter_documents(folder)] == ["d1", "d2", "d3"]
    assert load_queries(folder, "train") == {"q2": Query("q2", "second", "train")}
    assert load_qrels(folder).grades == parts().qrels.grades
    assert load_exclusions(folder) == {"q2": {"d1", "d2"}}
    verify_collection(folder)
    card = json.loads((folder / "collection.json").read_text())
    assert card["source"] == {"name": "tiny"}
    assert card["counts"] == counts
    assert set(card["sha256"]) == {
        "corpus.jsonl",
        "queries.jsonl",
        "qrels.tsv",
        "candidates.run",
        "excluded.tsv",
    }


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_collection(tmp_path / name, parts())
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )


def test_a_refused_collection_leaves_nothing_and_names_the_target(tmp_path):
    bad = parts(qrels=Qrels({"q1": {"d1": 1}}))
    with refused(f"{tmp_path}/c/queries.jsonl:2", "query q2"):
        save_collection(tmp_path / "c", bad)
    assert list(tmp_path.iterdir()) == []


def test_ids_with_white_space_are_refused_before_qrels_are_written(tmp_path):
    with refused("qrels.tsv", "'d 1'", "white space"):
        save_collection(tmp_path / "c", parts(qrels=Qrels({"q1": {"d 1": 1}})))


@pytest.mark.parametrize("name", ["d\x1b[2J", "d\x00", "d\u202e1", "d\ud800", "d\x7f"])
def test_ids_that_cannot_be_seen_are_refused(name, tmp_path):
    with refused("qrels.tsv", re.escape(f"doc_id {name!r}"), "invisible character; remove it"):
        save_collection(tmp_path / "c", parts(qrels=Qrels({"q1": {name: 1}})))
    assert check_id("Über-né_1.٣", "doc_id", "here") == "Über-né_1.٣"


def test_absent_documents_may_be_judged_but_not_be_candidates(tmp_path):
    judged = Qrels({"q1": {"d1": 2, "d9": 1}, "q2": {"d3": 1}})
    with refused("document d9"):
        save_collection(tmp_path / "c", parts(qrels=judged))
    save_collection(tmp_path / "c", parts(qrels=judged, absent=["d9"]))
    assert validate_collection(tmp_path / "c")["judgments"] == 3
    with refused("candidates.run:1", "document d9"):
        save_collection(
            tmp_path / "c",
            parts(qrels=judged, absent=["d9"], candidates=Run({"q1": [("d9", 1.0)]})),
        )


def test_verify_notices_change_removal_and_addition(tmp_path):
    folder = tmp_path / "c"
    save_collection(folder, parts())
    (folder / "excluded.tsv").write_text("q1 d1\n")
    with refused("excluded.tsv", "not listed in collection.json"):
        verify_collection(folder)
    (folder / "excluded.tsv").unlink()
    with open(folder / "corpus.jsonl", "a") as file:
        file.write("\n")
    with refused("corpus.jsonl", "SHA-256", "make it again"):
        verify_collection(folder)
    (folder / "corpus.jsonl").unlink()
    with refused("corpus.jsonl", "no such file"):
        verify_collection(folder)


def test_pinned_counts(tmp_path):
    check_counts({"documents": 3, "queries": 2}, {"documents": 3}, "x")
    with refused("x: documents 3, expected 4; grades None, expected", "not the version"):
        check_counts({"documents": 3}, {"documents": 4, "grades": {"1": 2}}, "x")
