"""Builders: each on a tiny archive of the same form, and on the real one where it is found."""

import gzip
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from headrank.collections.builders import BUILDERS, build_collection, insuranceqa, lee, semanlink
from headrank.collections.collection import (
    load_exclusions,
    load_qrels,
    load_queries,
    verify_collection,
)
from tests.helpers.expected_errors import refused

ROOT = Path(__file__).parents[3]
ARCHIVES = {
    "insuranceqa": (
        "insuranceqa_data-1.0.tar.gz",
        "f413933723f379fa39bf5e3c2c20618a2f9c230daa94a431eda216feb13498f5",
    ),
    "semanlink": (
        "cherche-2.2.1.tar.gz",
        "7984a88f0bf9349cd08907baefc2527deaacea95d3acf5f4a1692896c507fe34",
    ),
    "lee": (
        "gensim-4.4.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
    ),
}


def real_archive(name):
    """Return the fetched archive and its hash, or skip the test."""
    file, sha256 = ARCHIVES[name]
    folders = [ROOT / "resources/archives", Path(os.environ.get("HEADRANK_ARCHIVES", "nowhere"))]
    for folder in folders:
        if (folder / file).exists():
            return folder / file, sha256
    pytest.skip(f"{file} is not in resources/archives nor in the folder $HEADRANK_ARCHIVES")


def make_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


# --- InsuranceQA -----------------------------------------------------------------------


def insuranceqa_archive(path, answers=None, **splits):
    members = {"answers": {"1": {"en": " An  answer. "}, "2": {"en": "Another."}}}
    members["answers"] |= answers or {}
    for split in ("train", "valid", "test"):
        question = {"en": f"What  Is {split}?", "answers": ["1"], "negatives": ["2"]}
        members[split] = splits.get(split, {"0": question})
    folder = "insuranceqa_data-1.0/insuranceqa_data"
    return make_tar(
        path / "insuranceqa.tar.gz",
        {
            f"{folder}/{name}.json.gz": gzip.compress(json.dumps(value).encode())
            for name, value in members.items()
        },
    )


def test_insuranceqa_keeps_the_splits_apart(tmp_path):
    again = {
        "0": {"en": "what is  TRAIN?", "answers": ["2", "1"]},
        "1": {"en": "New?", "answers": ["2"]},
    }
    parts = insuranceqa.build(insuranceqa_archive(tmp_path, test=again), expected={})
    assert [(d.doc_id, d.title, d.text) for d in parts.documents] == [
        ("1", "", "An answer."),
        ("2", "", "Another."),
    ]
    assert [(q.query_id, q.text, q.split) for q in parts.queries] == [
        ("train-0", "What Is train?", "train"),
        ("valid-0", "What Is valid?", "valid"),
        ("test-0", "what is TRAIN?", "test"),
        ("test-1", "New?", "test"),
    ]
    assert parts.qrels.grades["test-0"] == {"2": 1, "1": 1}
    assert parts.description["questions_also_in_train"] == {"test": 1}


def test_insuranceqa_refuses_other_contents(tmp_path):
    with refused("insuranceqa.tar.gz", "documents 2, expected 27413", "grades"):
        insuranceqa.build(insuranceqa_archive(tmp_path))
    unknown = {"0": {"en": "a", "answers": ["1", "7"]}}
    with refused("train question 0 has the unknown answers 7"):
        insuranceqa.build(insuranceqa_archive(tmp_path, train=unknown), expected={})
    with refused("answer 3", "field 'en' is missing"):
        insuranceqa.build(insuranceqa_archive(tmp_path, answers={"3": {"zh": "x"}}), expected={})
    with refused("test.json.gz holds a list, expected a dict"):
        insuranceqa.build(insuranceqa_archive(tmp_path, test=["a"]), expected={})


def test_insuranceqa_members_must_be_whole(tmp_path):
    folder = "insuranceqa_data-1.0/insuranceqa_data"
    broken = make_tar(tmp_path / "a.tar.gz", {f"{folder}/answers.json.gz": b"not gzip"})
    with refused("answers.json.gz is damaged"):
        insuranceqa.build(broken, expected={})
    broken = make_tar(
        tmp_path / "a.tar.gz", {f"{folder}/answers.json.gz": gzip.compress(b"not json")}
    )
    with refused("answers.json.gz is not JSON"):
        insuranceqa.build(broken, expected={})
    with refused("no member"):
        insuranceqa.build(make_tar(tmp_path / "b.tar.gz", {"x/answers.json.gz": b""}), expected={})


@pytest.mark.slow
def test_insuranceqa_itself(tmp_path):
    archive, sha256 = real_archive("insuranceqa")
    parts = insuranceqa.build(archive)
    first, tenth, last = parts.documents[0], parts.documents[9], parts.documents[-1]
    assert (first.doc_id, len(first.text)) == ("1", 1130)
    assert first.text.startswith("Coverage follows the car. Example 1: If you were given a car")
    assert (tenth.doc_id, len(tenth.text)) == ("10", 533)
    assert tenth.text.startswith("Yes in some instances. To be able to purchase a life")
    assert (last.doc_id, len(last.text)) == ("27413", 747)
    assert last.text.startswith("Aren't you defeating the purpose of life insurance if you borrow")
    queries = {query.query_id: query for query in parts.queries}
    assert parts.queries[0].text == "Is Disability Insurance Required By Law?"
    assert parts.queries[9].text == "Is Car Insurance Prepaid?"
    assert queries["test-1999"].text == "How Can I Get Auto Insurance With A Suspended License?"
    assert parts.qrels.grades["train-0"] == {"20798": 1}
    assert parts.qrels.grades["test-0"] == {"16164": 1, "99": 1, "26337": 1}
    assert parts.description["questions_also_in_train"] == {"valid": 2, "test": 6}
    counts = build_collection("insuranceqa", archive, tmp_path / "c", sha256)
    assert counts["documents"] == 27413
    assert counts["splits"] == {"test": 2000, "train": 12889, "valid": 2000}
    assert counts["grades"] == {"1": 27987}


# --- Semanlink -------------------------------------------------------------------------

WORDS = " ".join(f"w{i}" for i in range(25))


def entry(*tags, **fields):
    empty = dict.fromkeys(("arxiv_summary", "arxiv_title", "comment", "title"), "")
    return empty | {"tag": [semanlink.TAG + tag for tag in tags]} | fields


def semanlink_archive(path, docs, broader):
    tags = {
        semanlink.TAG + tag: {
            "prefLabel": [f"Label  {tag}", "other"],
            "broader": [semanlink.TAG + name for name in above],
        }
        for tag, above in broader.items()
    }
    folder = "cherche-2.2.1/cherche/data/semanlink"
    return make_tar(
        path / "semanlink.tar.gz",
        {
            f"{folder}/docs.json": json.dumps(docs).encode(),
            f"{folder}/tags.json": json.dumps(tags).encode(),
        },
    )


def test_semanlink_grades_follow_the_tag_and_the_tags_below_it(tmp_path):
    docs = [
        entry("top", comment=WORDS, title="A note"),
        entry("top", comment="too short", title=WORDS),
        entry("top", "below", arxiv_summary=WORDS, comment="seen instead", arxiv_title="A paper"),
        entry("below", comment=WORDS),
        entry("lowest", comment=WORDS),
        *(entry("top", comment=WORDS) for _ in range(2)),
        *(entry("many", comment=WORDS) for _ in range(61)),
    ]
    broader = {"top": [], "below": ["top"], "lowest": ["below"], "many": ["top"], "unused": []}
    parts = semanlink.build(semanlink_archive(tmp_path, docs, broader), expected={})
    assert len(parts.documents) == 67
    titles = [(d.doc_id, d.title, d.text) for d in parts.documents[:3]]
    assert titles == [("sl-1", "A note", WORDS), ("sl-3", "A paper", WORDS), ("sl-4", "", WORDS)]
    # "top" is carried by 4 documents, "below" by 2, "lowest" by 1, "many" by 61.
    (query,) = parts.queries
    assert (query.query_id, query.text) == ("top", "Label top")
    grades = parts.qrels.grades["top"]
    assert {name for name, grade in grades.items() if grade == 2} == {
        "sl-1",
        "sl-3",
        "sl-6",
        "sl-7",
    }
    assert grades["sl-4"] == 1 and "sl-5" not in grades and "sl-2" not in grades
    assert sum(grade == 1 for grade in grades.values()) == 62


def test_semanlink_texts_lose_markup_and_addresses():
    text = 'A<br/>B <a href="x">C</a> [D](tag:d_e) [[1] E f](/tag/e_f ) a &lt; b, x<y, y>z\n\nend'
    assert semanlink.plain(text) == "A B C D [1] E f a < b, x<y, y>z end"


def test_semanlink_splits_depend_on_the_tag_alone():
    names = [f"tag{i}" for i in range(400)]
    splits = [semanlink.split_of(name) for name in names]
    assert 160 < splits.count("train") < 240
    assert set(splits) == {"train", "test"}
    assert semanlink.split_of("skos") == "test"


def test_semanlink_refuses_other_contents(tmp_path):
    docs = [entry("top", comment=WORDS) for _ in range(4)]
    with refused("semanlink.tar.gz", "documents 4, expected 1232"):
        semanlink.build(semanlink_archive(tmp_path, docs, {"top": []}))
    docs[2].pop("tag")
    with refused("docs.json, entry 3", "field 'tag' is missing"):
        semanlink.build(semanlink_archive(tmp_path, docs, {"top": []}), expected={})


@pytest.mark.slow
def test_semanlink_itself(tmp_path):
    archive, sha256 = real_archive("semanlink")
    counts = build_collection("semanlink", archive, tmp_path / "c", sha256)
    assert (counts["documents"], counts["queries"], counts["judgments"]) == (1232, 219, 3015)
    assert counts["splits"] == {"test": 114, "train": 105}
    assert counts["grades"] == {"1": 1414, "2": 1601}
    parts = semanlink.build(archive)
    first, tenth, last = parts.documents[0], parts.documents[9], parts.documents[-1]
    assert (first.doc_id, first.title) == ("sl-4", "Howto build a Snippet Manager")
    assert first.text.startswith("In our research group, there is a need to capture, organize")
    assert tenth.doc_id == "sl-32"
    assert tenth.title == "Bidirectional LSTM-CRF Models for Sequence Tagging"
    assert last.doc_id == "sl-7280"
    assert last.text.startswith("Avec une production annuelle de plus de 300 000 tonnes, le Niger")
    assert parts.queries[0].text == "ACL 2019"
    assert not any("](" in document.text for document in parts.documents)


# --- Lee 50 ----------------------------------------------------------------------------


def lee_archive(path, rows, texts=("One.", "Two costs \xa33.", "Three.")):
    with zipfile.ZipFile(path / "lee.whl", "w") as archive:
        archive.writestr(lee.TEXTS, "\n".join(texts).encode("latin-1"))
        archive.writestr(lee.RATINGS, "".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path / "lee.whl"


ROWS = [[1, 0.38, 0.7], [0, 1, 0.49], [0, 0, 1]]


def test_lee_every_text_is_a_query_for_the_others(tmp_path):
    parts = lee.build(lee_archive(tmp_path, ROWS), expected={})
    assert [document.text for document in parts.documents] == ["One.", "Two costs £3.", "Three."]
    assert parts.qrels.grades == {
        "query-1": {"text-2": 1, "text-3": 3},
        "query-2": {"text-1": 1, "text-3": 1},
        "query-3": {"text-1": 3, "text-2": 1},
    }
    assert parts.exclusions == {f"query-{i}": {f"text-{i}"} for i in (1, 2, 3)}


@pytest.mark.parametrize(
    "rating, expected",
    [(0, 0), (0.3799, 0), (0.38, 1), (0.4999, 1), (0.5, 2), (0.6999, 2), (0.7, 3), (1, 3)],
)
def test_lee_grades(rating, expected):
    assert lee.grade(rating) == expected


@pytest.mark.parametrize(
    "rows, message",
    [
        (ROWS[:2], "not a matrix of 3 x 3"),
        ([[1, 2], [0, 1], [0, 0]], "not a matrix of 3 x 3"),
        ([[1, 0.2, 0.3], [0.2, 1, 0.1], [0.3, 0.1, 1]], "row 2 .*not one of an upper triangle"),
        ([[1, 0.2, 3], [0, 1, 0.1], [0, 0, 1]], "row 1 .*ratings from 0 to 1"),
        ([[1, "x", 0.3], [0, 1, 0.1], [0, 0, 1]], "something not a number"),
    ],
)
def test_lee_refuses_ratings_that_do_not_fit(tmp_path, rows, message):
    with refused("similarities0-1.txt", message):
        lee.build(lee_archive(tmp_path, rows), expected={})


@pytest.mark.slow
def test_lee_itself(tmp_path):
    archive, sha256 = real_archive("lee")
    counts = build_collection("lee", archive, tmp_path / "c", sha256)
    assert (counts["documents"], counts["queries"], counts["excluded"]) == (50, 50, 50)
    assert counts["grades"] == {"0": 1868, "1": 296, "2": 194, "3": 92}
    assert load_exclusions(tmp_path / "c")["query-07"] == {"text-07"}
    assert load_queries(tmp_path / "c")["query-01"].text.startswith("The national executive of")
    assert load_qrels(tmp_path / "c").grades["query-01"]["text-33"] == 3
    verify_collection(tmp_path / "c")
    parts = lee.build(archive)
    for place, start, length in [
        (0, "The national executive of the strife-torn Democrats last night appointed", 509),
        (9, "A U.S.-British air raid in southern Iraq left eight civilians dead", 492),
        (49, "Labor needed to distinguish itself from the Government on the issue of", 514),
    ]:
        assert parts.documents[place].text.startswith(start)
        assert len(parts.documents[place].text) == length
    assert any("£3,000 satelite" in document.text for document in parts.documents)


# --- all -------------------------------------------------------------------------------


def test_an_unknown_builder_and_a_changed_archive(tmp_path):
    with refused("builder 'msmarco' is unknown; allowed: insuranceqa, lee, semanlink"):
        build_collection("msmarco", tmp_path / "a.tar.gz", tmp_path / "c")
    with refused("a.tar.gz", "no such archive"):
        build_collection("lee", tmp_path / "a.tar.gz", tmp_path / "c", "0" * 64)
    archive = lee_archive(tmp_path, ROWS)
    with refused("lee.whl", "SHA-256", "pinned is 0000", "fetch it again"):
        build_collection("lee", archive, tmp_path / "c", "0" * 64)
    assert set(BUILDERS) == set(ARCHIVES)
