"""Passages of Python callers: any iterable, BEIR's names, and ids that UTF-8 can hold."""

import itertools

import pytest

from headrank.collections.layout import Document
from headrank.data.candidates import CandidateList, Passage, as_candidates
from headrank.errors import HeadRankError, brief
from headrank.fitting import LabelledQuery, as_lists
from tests.helpers.expected_errors import refused


@pytest.mark.parametrize(
    "passages",
    [
        ["one", "two"],
        ("one", "two"),
        (text for text in ("one", "two")),
        [{"text": "one", "title": None}, Passage("", "two")],
    ],
)
def test_any_iterable_of_texts(passages):
    found = as_candidates("why", passages)
    assert found == CandidateList(
        "why", "why", ("0", "1"), (Passage("", "one"), Passage("", "two"))
    )


def test_ids_may_be_numbers_and_bear_another_name():
    passages = [{"_id": 7, "text": "one"}, {"_id": "x", "text": "two"}]
    found = as_candidates("why", passages, query_id=0)
    assert (found.query_id, found.doc_ids) == ("0", ("7", "x"))
    assert as_candidates("why", ["a", "b"], ids=[1, 2]).doc_ids == ("1", "2")


@pytest.mark.parametrize(
    "passages",
    [
        [{"title": "one"}],
        [{"title": "one", "text": None}],
        [{"title": "one", "text": " \u200b"}],
        [Passage("one", "")],
    ],
)
def test_a_title_alone_is_a_text(passages):
    assert as_candidates("why", passages).passages == (Passage("one", ""),)


@pytest.mark.parametrize("title", [None, "", " ", "\u2060"])
def test_a_title_that_cannot_be_seen_is_left_out(title):
    found = as_candidates("why", [{"title": title, "text": "one"}])
    assert found.passages == (Passage("", "one"),)


def test_what_the_workflow_reads_of_a_document_is_what_python_reads():
    parts = ["", " ", "\u2060", "one"]
    for title, text in itertools.product(parts, parts):
        contents = Document("d", title, text).contents
        if contents:
            (found,) = as_candidates("why", [Passage(title, text)]).passages
            assert [part for part in (found.title, found.text) if part] == contents.splitlines()
        else:
            with refused("passage 1 of 1 is empty"):
                as_candidates("why", [Passage(title, text)])


def test_ids_and_keys_in_messages_are_short():
    long = "what does a policy pay " * 1000
    for call in (
        lambda: CandidateList(long, long, ("a", "a"), (Passage("", "x"),) * 2),
        lambda: as_candidates("why", ["x", "y"], ids=[long, long]),
        lambda: as_candidates("why", [{long: "x"}]),
        lambda: as_candidates("why", [{f"key {n}": "x" for n in range(1000)}]),
        lambda: as_lists([LabelledQuery(long, ["x"], [1, 2])]),
        lambda: as_lists([LabelledQuery(long, ["x"], [0.5])]),
        lambda: as_lists([LabelledQuery(long, ["x"], [1])] * 2),
    ):
        with pytest.raises(HeadRankError) as error:
            call()
        assert len(str(error.value)) < 300
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("q1", "q1"),
        ("a" * 60, "a" * 60),
        ("a" * 61, "a" * 57 + "..."),
        ("a\nb", "a\\nb"),
        (7, "7"),
        ("\n" * 40, "\\n" * 28 + "\\..."),
    ],
)
def test_an_id_is_shown_in_part(value, shown):
    assert brief(value) == shown


@pytest.mark.parametrize(
    ("passages", "options", "message"),
    [
        (3, {}, "passages is an int; give a list"),
        ({"text": "one"}, {}, "passages is a dict; give a list"),
        (["one", "\u200b\ufeff"], {}, "passage 2 of 2 is empty .it holds invisible characters"),
        (["one", " "], {}, "passage 2 of 2 is empty; leave it out"),
        ([{"title": "\u2060", "text": ""}], {}, "title of passage 1 of 1 is empty"),
        ([{"title": 3, "text": "a"}], {}, "the title of passage 1 of 1 is an int; give a text"),
        ([Passage("", None)], {}, "passage 1 of 1 is a NoneType; give a text"),
        (["one"], {"ids": ["\ud800"]}, "id '.ud800' holds half of a surrogate pair"),
        (["one"], {"query_id": "q\udc00"}, "id 'q.udc00' holds half of a surrogate pair"),
        ([{"id": "a", "_id": "b", "text": "x"}], {}, "both 'id' and '_id' are given; keep one"),
        ([{"text": "a", "page_content": "b"}], {}, "both 'text' and 'page_content' are given"),
        ([{"text": "a", "titel": "b"}], {}, "key 'titel' is unknown .did you mean 'title'"),
    ],
)
def test_what_cannot_be_ranked_is_named(passages, options, message):
    with refused(message):
        as_candidates("why", passages, **options)


def test_a_query_that_cannot_be_seen_or_written():
    with refused("the query is empty .it holds invisible characters alone"):
        as_candidates("\u00ad", ["one"])
    with refused("the query holds half of a surrogate pair at character 1"):
        as_candidates("a\ud800", ["one"])


@pytest.mark.parametrize(("query_id", "doc_id"), [("q\ud800", "a"), ("q", "\udc00"), (1, "a")])
def test_a_list_holds_ids_that_are_texts(query_id, doc_id):
    with refused("id .* (holds half of a surrogate pair|is an int; give a text)"):
        CandidateList(query_id, "why", (doc_id,), (Passage("", "x"),))
