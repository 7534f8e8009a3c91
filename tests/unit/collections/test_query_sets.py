"""Query sets: samples of one permutation, without what an earlier set holds."""

import pytest

from headrank.collections.collection import save_collection
from headrank.collections.layout import Document, Query
from headrank.collections.parts import Parts
from headrank.collections.query_sets import Sampling, build_set, import_run
from headrank.collections.set_files import load_lists, save_set
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError

COUNT = 12


@pytest.fixture
def collection(tmp_path):
    """Return a folder of 12 queries; query N's relevant document is dN."""
    documents = [Document(f"d{n}", "", f"text {n}") for n in range(COUNT)]
    queries = [Query(f"q{n}", f"Question {n}?", "test") for n in range(COUNT)]
    qrels = Qrels({f"q{n}": {"d0": 0, f"d{n}": 1} for n in range(COUNT)})
    save_collection(tmp_path / "c", Parts(documents, queries, qrels, {}, {"q1": {"d2"}}))
    return tmp_path / "c"


def first_stage():
    """Return a run in which every query has every document; dN leads the list of qN."""
    return Run(
        {
            f"q{n}": [(f"d{(n + i) % COUNT}", float(COUNT - i)) for i in range(COUNT)]
            for n in range(COUNT)
        },
        "bm25",
    )


def sampled(collection, sampling=None, split="test", earlier=None):
    """Return a set of three candidates a query."""
    run = first_stage()
    return build_set(
        collection, run, sampling or Sampling(), split=split, candidates=3, earlier=earlier
    )


def names(sample):
    return [candidates.query_id for candidates in sample.lists]


def test_slices_of_one_permutation_are_disjoint(collection):
    def drawn(**sampling):
        return names(sampled(collection, Sampling(**{"seed": 5} | sampling)))

    whole = drawn()
    assert drawn(take=5) + drawn(take=4, skip=5) == whole[:9]
    assert whole != drawn(seed=6)


def test_candidates_are_the_top_of_the_first_stage(collection, tmp_path):
    sample = sampled(collection, Sampling(take=2))
    for candidates in sample.lists:
        number = int(candidates.query_id[1:])
        assert candidates.doc_ids == tuple(f"d{(number + i) % COUNT}" for i in range(3))
        assert candidates.passages[0].text == f"text {number}"
    assert set(sample.qrels.grades) == set(names(sample))
    save_set(tmp_path / "set", sample.lists, sample.run, sample.qrels)
    assert load_lists(tmp_path / "set") == list(sample.lists)


def test_queries_of_earlier_sets_are_dropped_by_their_text(collection):
    earlier = {"exam": {"other-id": "  question 3? ", "x": "unrelated"}}
    sample = sampled(collection, earlier=earlier)
    assert sample.dropped == {"q3": "exam"}
    assert "q3" not in names(sample)
    assert len(sample.lists) == COUNT - 1


def test_a_sample_of_known_queries_alone_is_refused(collection):
    earlier = {"exam": {f"q{n}": f"question {n}?" for n in range(COUNT)}}
    with pytest.raises(HeadRankError, match=r"each of the 4 .*stands in set exam; choose other"):
        sampled(collection, Sampling(take=4), earlier=earlier)


def test_a_set_that_skips_every_query_is_refused(collection):
    with pytest.raises(HeadRankError, match=rf"no query .* is left: .* {COUNT} are skipped"):
        sampled(collection, Sampling(skip=COUNT))


def test_an_unknown_split_is_refused(collection):
    with pytest.raises(HeadRankError, match="no query has split 'dev'"):
        sampled(collection, split="dev")


def test_imported_runs_lose_excluded_documents(collection, tmp_path):
    first_stage().save(tmp_path / "own.run")
    run = import_run(collection, tmp_path / "own.run", ["q1", "q99"], {"q1": {"d2"}}, 2)
    assert [document for document, _ in run.rankings["q1"]] == ["d1", "d3"]
    assert run.rankings["q99"] == []
    with pytest.raises(HeadRankError, match=r"has no candidates\.run"):
        import_run(collection, None, ["q1"], {}, 2)


def test_an_imported_run_is_cut_in_trec_evals_order(collection, tmp_path, caplog):
    path = tmp_path / "own.run"
    # d2 and d3 tie as float32 alone; the rank of d4 contradicts its score.
    scores = {"d2": 1.0 + 1e-9, "d3": 1.0, "d1": 1.0, "d4": 3.0}
    path.write_text(
        "".join(f"q1 Q0 {d} {rank} {s!r} x\n" for rank, (d, s) in enumerate(scores.items(), 1))
    )
    run = import_run(collection, path, ["q1"], {}, 3)
    assert [document for document, _ in run.rankings["q1"]] == ["d4", "d3", "d2"]
    assert "3 ranks contradict the scores, first in line 1" in caplog.text
    # What the workflow makes of it keeps that order.
    run.save(tmp_path / "made.run")
    assert Run.load(tmp_path / "made.run").rankings == run.rankings


@pytest.mark.parametrize("saved", [False, True])
def test_a_folder_by_hand_has_trec_evals_order_and_a_saved_one_its_own(collection, saved):
    (collection / "candidates.run").write_text("q1 Q0 d1 1 1.0 x\nq1 Q0 d2 2 1.0 x\n")
    if not saved:
        (collection / "collection.json").unlink()
    run = import_run(collection, None, ["q1"], {}, 2)
    expected = ["d1", "d2"] if saved else ["d2", "d1"]
    assert [document for document, _ in run.rankings["q1"]] == expected
