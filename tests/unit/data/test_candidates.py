"""Candidate lists: orders, samples, roles, files."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrank.collections.query_sets import Sampling, check_disjoint, sample_queries
from headrank.collections.set_files import load_lists, save_set
from headrank.data.candidates import (
    CandidateList,
    Passage,
    arrange,
    check_order,
    lists_digest,
    query_generator,
)
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError

ORDERS = st.sampled_from(["first-stage", "reversed", "shuffled", "shuffled-2", "shuffled-17"])


def numbered(count, query_id="q1"):
    """Return a list whose passages say which document they are."""
    names = tuple(f"d{i}" for i in range(count))
    return CandidateList(query_id, "query", names, tuple(Passage(n, f"text {n}") for n in names))


@settings(deadline=None)
@given(count=st.integers(0, 50), order=ORDERS, seed=st.integers(0, 2**31))
def test_orders_are_permutations_that_keep_texts_with_their_ids(count, order, seed):
    one = numbered(count)
    moved = arrange(one, order, seed)
    assert sorted(moved.doc_ids) == sorted(one.doc_ids)
    assert all(p.title == d for d, p in zip(moved.doc_ids, moved.passages, strict=True))
    assert (moved.query_id, moved.query) == (one.query_id, one.query)
    assert arrange(one, order, seed) == moved


def test_first_stage_and_reversed():
    one = numbered(5)
    assert arrange(one, "first-stage", 3) == one
    assert arrange(one, "reversed", 3).doc_ids == ("d4", "d3", "d2", "d1", "d0")
    assert arrange(arrange(one, "reversed", 3), "reversed", 9) == one


def test_shuffles_differ_between_queries_seeds_and_names():
    base = arrange(numbered(30), "shuffled", 0).doc_ids
    others = [
        arrange(numbered(30, "q2"), "shuffled", 0).doc_ids,
        arrange(numbered(30), "shuffled", 1).doc_ids,
        arrange(numbered(30), "shuffled-2", 0).doc_ids,
        arrange(numbered(30), "shuffled-3", 0).doc_ids,
        numbered(30).doc_ids,
    ]
    assert len({base, *others}) == 6


def test_shuffles_stay_what_they_are():
    """Pinned as first made: a change here changes every reading of a shuffled list."""
    assert arrange(numbered(6), "shuffled", 0).doc_ids == ("d1", "d2", "d5", "d3", "d4", "d0")


def test_a_shuffle_puts_every_document_in_every_place():
    places = np.zeros((4, 4))
    for number in range(400):
        moved = arrange(numbered(4, f"q{number}"), "shuffled", 5)
        for place, document in enumerate(moved.doc_ids):
            places[int(document[1:]), place] += 1
    # 100 expected in each cell; the seed is fixed, so the bound cannot flicker.
    assert places.min() > 70 and places.max() < 130


@pytest.mark.parametrize(
    "order", ["", "random", "Reversed", "shuffled-", "shuffled2", "shuffled-x", "reversed-2"]
)
def test_unknown_orders_are_refused(order):
    message = rf"order '{order}' is unknown; allowed: first-stage, reversed, shuffled"
    with pytest.raises(HeadRankError, match=message):
        check_order(order)
    with pytest.raises(HeadRankError, match=message):
        arrange(numbered(2), order, 0)


def test_generators_do_not_confuse_joined_names():
    draws = [
        query_generator(seed, *names).integers(2**62)
        for seed, names in ((1, ("a", "b")), (1, ("ab",)), (1, ("a", "b", "")), (11, ("b",)))
    ]
    assert len(set(draws)) == 4


@pytest.mark.parametrize(
    ("doc_ids", "count", "message"),
    [
        (("a", "b"), 1, "query q: 2 document ids for 1 passages"),
        (("a", "b", "a"), 3, "query q: document a is listed twice; keep one"),
    ],
)
def test_lists_that_do_not_match_are_refused(doc_ids, count, message):
    with pytest.raises(HeadRankError, match=message):
        CandidateList("q", "text", doc_ids, (Passage("", "x"),) * count)


def pool(count, judged=lambda number: {"a": 1}, ranked=("a", "b", "c")):
    """Return a run and qrels of ``count`` queries."""
    names = [f"q{number:03d}" for number in range(count)]
    run = Run.from_scores(
        {name: {d: -float(i) for i, d in enumerate(ranked)} for name in names}, "bm25"
    )
    return run, Qrels({name: judged(number) for number, name in enumerate(names)})


@settings(deadline=None, max_examples=60)
@given(count=st.integers(2, 60), cut=st.floats(0.1, 0.9), seed=st.integers(0, 1000), more=st.data())
def test_slices_of_one_seed_are_disjoint_and_stable(count, cut, seed, more):
    run, qrels = pool(count)
    take = max(1, int(count * cut))
    first = sample_queries(run, qrels, Sampling(take=take, seed=seed), depth=3)
    rest = sample_queries(run, qrels, Sampling(skip=take, seed=seed), depth=3)
    assert len(first) == take and not set(first) & set(rest)
    assert sorted(first + rest) == sorted(qrels.grades)
    # A larger sample starts with the smaller one, whatever the order of the judgments.
    larger = more.draw(st.integers(take, count))
    moved = Qrels(dict(reversed(qrels.grades.items())))
    assert sample_queries(run, moved, Sampling(take=larger, seed=seed), depth=3)[:take] == first


def test_samples_are_random_and_seeded():
    run, qrels = pool(40)
    samples = {tuple(sample_queries(run, qrels, Sampling(seed=seed), depth=3)) for seed in range(5)}
    assert len(samples) == 5 and tuple(sorted(qrels.grades)) not in samples


def test_pools():
    run = Run.from_scores(
        {
            "both": {"a": 3, "b": 2, "c": 1},
            "deep": {"b": 3, "c": 2, "a": 1},
            "all relevant": {"a": 2, "b": 1},
            "none relevant": {"b": 2, "c": 1},
            "nothing judged relevant": {"a": 2, "b": 1},
        }
    )
    qrels = Qrels(
        {
            "both": {"a": 2, "b": 0},
            "deep": {"a": 1},
            "all relevant": {"a": 1, "b": 1},
            "none relevant": {"a": 1},
            "nothing judged relevant": {"a": 0, "b": -1},
            "not retrieved": {"a": 1},
        }
    )
    judged = {"both", "deep", "all relevant", "none relevant", "not retrieved"}
    assert set(sample_queries(run, qrels, Sampling(), depth=3)) == judged
    for depth, expected in ((3, {"both", "deep"}), (2, {"both"}), (1, set())):
        sample = sample_queries(run, qrels, Sampling("rerankable"), depth=depth)
        assert set(sample) == expected


def test_of_more_queries_than_there_are_all_are_taken_with_a_word(caplog):
    run, qrels = pool(5)
    assert len(sample_queries(run, qrels, Sampling(take=3, skip=2), depth=3)) == 3
    assert not caplog.records
    assert len(sample_queries(run, qrels, Sampling(take=4, skip=2), depth=3)) == 3
    assert (
        "3 queries taken, 4 asked for: the pool 'judged' holds 5, and 2 are skipped" in caplog.text
    )
    with pytest.raises(HeadRankError, match=r"pool 'best' is unknown; allowed: judged, rerankable"):
        Sampling(pool="best")


def roles(evaluation, training):
    return {"evaluation": {"test-set": evaluation}, "training": {"train-set": training}}


@pytest.mark.parametrize(
    "text",
    ["What is BM25?", "what is bm25?", "  WHAT \t is\nBM25?  ", "What\u00a0is BM25?"],
)
def test_the_same_question_in_two_roles_is_refused(text):
    with pytest.raises(HeadRankError) as caught:
        check_disjoint(roles({"1": "other", "2": "What is BM25?"}, {"9": text}))
    message = str(caught.value)
    assert "query '9' of set train-set (training) also stands in set test-set" in message
    assert "(evaluation) as '2'" in message and "`skip`" in message


def test_casefolding_is_more_than_lower_case():
    with pytest.raises(HeadRankError):
        check_disjoint(roles({"1": "Straße"}, {"2": "STRASSE"}))


def test_different_questions_and_one_role_are_no_conflict():
    check_disjoint(roles({"1": "what is BM25"}, {"1": "what is BM26"}))
    check_disjoint({"evaluation": {"a": {"1": "same"}, "b": {"2": "same"}}, "training": {}})
    # A repetition within a role must not hide the conflict with another.
    with pytest.raises(HeadRankError):
        check_disjoint({"evaluation": {"a": {"1": "x"}, "b": {"2": "x"}}, "t": {"c": {"3": "x"}}})


def sampled():
    """Return two lists that share a document, their run and judgments."""
    shared = Passage("Titel „Ü“", "line one\nline two\u2028three \x00 end")
    lists = [
        CandidateList("q2", "why?", ("d1", "d3"), (shared, Passage("", "third"))),
        CandidateList("q1", "zu  wem\tgehört 'é'?", ("d2", "d1"), (Passage("T", "second"), shared)),
    ]
    scores = {"q2": {"d1": 2.5, "d3": 0.1 + 0.2}, "q1": {"d2": 9.0, "d1": 8.999999999}}
    qrels = Qrels({"q1": {"d2": 1, "d9": 0}, "q2": {"d3": 3}, "q7": {"d1": 1}})
    return lists, Run.from_scores(scores | {"q8": {"d1": 1.0}}, "bm25"), qrels


def test_a_set_survives_its_files(tmp_path):
    lists, run, qrels = sampled()
    save_set(tmp_path, lists, run, qrels)
    assert load_lists(tmp_path) == lists
    # Only the set's own queries are kept.
    kept = Run.load(tmp_path / "candidates.run")
    assert kept.rankings == {q: run.rankings[q] for q in ("q2", "q1")}
    assert Qrels.load(tmp_path / "qrels.tsv").grades == {q: qrels.grades[q] for q in ("q2", "q1")}


def test_saving_is_deterministic(tmp_path):
    lists, run, qrels = sampled()
    for name in ("a", "b"):
        save_set(tmp_path / name, iter(lists), run, qrels)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_query_without_candidates_is_left_out(tmp_path):
    lists, run, qrels = sampled()
    empty = CandidateList("q9", "nothing found", (), ())
    save_set(tmp_path, [*lists, empty], run, qrels)
    assert load_lists(tmp_path) == lists


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("documents.jsonl", lambda lines: lines[:-1], "query q2 has candidate d3, which documents"),
        (
            "documents.jsonl",
            lambda lines: [*lines, '{"doc_id": "d5", "text": "no title"}'],
            r"documents\.jsonl:4: needs the texts doc_id, title, text",
        ),
        ("queries.jsonl", lambda lines: ['{"query_id": 3, "text": "x"}'], r"queries\.jsonl:1: nee"),
        ("queries.jsonl", lambda lines: [lines[0], "{"], r"queries\.jsonl:2: not a line of JSON"),
        ("candidates.run", lambda lines: ["q1 Q0 d1"], r"candidates\.run:1: 3 columns"),
    ],
)
def test_damaged_sets_are_refused(tmp_path, file, change, message):
    save_set(tmp_path, *sampled())
    lines = (tmp_path / file).read_text().split("\n")[:-1]
    (tmp_path / file).write_text("\n".join(change(lines)) + "\n")
    with pytest.raises(HeadRankError, match=message):
        load_lists(tmp_path)


@pytest.mark.parametrize("file", ["documents.jsonl", "queries.jsonl", "candidates.run"])
def test_a_set_without_a_file_is_refused(tmp_path, file):
    save_set(tmp_path, *sampled())
    (tmp_path / file).unlink()
    with pytest.raises(HeadRankError, match=f"{file}: no such file"):
        load_lists(tmp_path)


def test_the_digest_of_lists_tells_every_text():
    lists = [numbered(3, f"q{number}") for number in range(4)]
    known = lists_digest(lists)
    assert known == lists_digest([numbered(3, f"q{number}") for number in range(4)])
    changed = replace(lists[0], query=lists[0].query + " ")
    assert lists_digest([changed, *lists[1:]]) != known
    assert lists_digest(lists[::-1]) != known
