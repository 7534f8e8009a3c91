"""Mined pairs: adjacency, hardness, balance, caps, determinism, files."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrank.align.pairs import Pair, PairSet, margins_decide, mine_pairs
from headrank.errors import HeadRankError
from headrank.options.pairs import HARDNESS, PairOptions


def mine(grades, z, seed=0, query="q1", **options):
    """Return the pairs of one list; documents are named by their position."""
    names = tuple(f"d{i}" for i in range(len(grades)))
    qrels = {query: {name: grade for name, grade in zip(names, grades, strict=True)}}
    lists = [(query, names, None if z is None else np.array(z, dtype=float))]
    return mine_pairs(lists, qrels, PairOptions(**options), seed).pairs


def places(pairs):
    return [(pair.chosen_position, pair.rejected_position) for pair in pairs]


LISTS = st.integers(2, 14).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(-1, 3), min_size=count, max_size=count),
        st.lists(st.floats(-20, 0), min_size=count, max_size=count),
    )
)


@settings(deadline=None, max_examples=200)
@given(
    one=LISTS,
    hardness=st.sampled_from(HARDNESS),
    per_query=st.integers(1, 30),
    per_boundary=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_pairs_keep_every_promise(one, hardness, per_query, per_boundary, seed):
    grades, z = one
    options = {"hardness": hardness, "per_query": per_query, "per_boundary": per_boundary}
    seen = [max(0, grade) for grade in grades]
    levels = sorted(set(seen))
    if len(levels) < 2:
        with pytest.raises(HeadRankError, match="no training list has candidates of two grades"):
            mine(grades, z, seed, **options)
        return
    pairs = mine(grades, z, seed, **options)
    assert pairs == mine(grades, z, seed, **options)
    assert len(set(places(pairs))) == len(pairs)
    boundaries = Counter()
    for pair in pairs:
        i, j = pair.chosen_position, pair.rejected_position
        assert (pair.chosen, pair.rejected) == (f"d{i}", f"d{j}")
        assert (pair.chosen_grade, pair.rejected_grade) == (seen[i], seen[j])
        assert pair.margin == z[i] - z[j]
        gap = levels.index(pair.chosen_grade) - levels.index(pair.rejected_grade)
        assert gap == 1 or (hardness == "all-levels" and gap > 1)
        boundaries[pair.chosen_grade, pair.rejected_grade] += 1
    assert max(boundaries.values()) <= per_boundary
    # As many pairs as the caps and the documents allow.
    reach = range(1, len(levels)) if hardness == "all-levels" else [1]
    available = [
        seen.count(levels[k]) * seen.count(levels[k + step])
        for step in reach
        for k in range(len(levels) - step)
    ]
    # Of several boundaries none gives more than twice the scarcest.
    most = 2 * min(available) if len(available) > 1 else max(available)
    available = [min(per_boundary, most, count) for count in available]
    assert len(pairs) == min(per_query, sum(available))
    # Boundaries take turns: none is more than one pair ahead of one that has more to give.
    if len(boundaries) == len(available) and min(available) >= max(boundaries.values()):
        assert max(boundaries.values()) - min(boundaries.values()) <= 1


@settings(deadline=None, max_examples=200)
@given(
    one=LISTS,
    hardness=st.sampled_from(HARDNESS),
    per_query=st.integers(1, 60),
    per_boundary=st.integers(1, 40),
)
def test_margins_decide_only_where_a_cap_drops_pairs(one, hardness, per_query, per_boundary):
    grades, z = one
    seen = np.maximum(grades, 0)
    if len(set(seen)) < 2:
        return
    options = {"hardness": hardness, "per_query": per_query, "per_boundary": per_boundary}
    read, unread = mine(grades, z, **options), mine(grades, None, **options)
    assert len(read) == len(unread) and all(np.isnan(pair.margin) for pair in unread)
    if not margins_decide(seen, PairOptions(**options)):
        assert set(places(read)) == set(places(unread))


def test_margins_decide_where_caps_cut_and_nowhere_else():
    eight = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    assert not margins_decide(eight, PairOptions(per_query=16, per_boundary=16))
    assert margins_decide(eight, PairOptions(per_query=15, per_boundary=16))
    assert margins_decide(eight, PairOptions(per_query=16, per_boundary=15))
    assert not margins_decide(eight, PairOptions(per_query=4, hardness="random"))
    # Twice the scarcest boundary: one of grade 2 above one of grade 1 bounds the six below it.
    graded = np.array([2, 1, 0, 0, 0, 0])
    assert margins_decide(graded, PairOptions())
    assert not margins_decide(graded, PairOptions(hardness="random"))
    assert not margins_decide(np.zeros(5, int), PairOptions())


def test_the_hardest_pairs_come_first():
    # One relevant document: its pairs are sorted by margin, the misordered ones first.
    pairs = mine([0, 1, 0, 0], [-1.0, -2.0, -4.0, -1.5])
    assert places(pairs) == [(1, 0), (1, 3), (1, 2)]
    assert [pair.margin for pair in pairs] == [-1.0, -0.5, 2.0]
    # One other document: the same from its side.
    pairs = mine([1, 0, 1, 1], [-1.0, -2.0, -4.0, -1.5])
    assert places(pairs) == [(2, 1), (3, 1), (0, 1)]


def test_documents_of_the_smaller_side_take_turns():
    grades, z = [1, 1, 0, 0, 0], [-9.0, -1.0, -2.0, -3.0, -4.0]
    # Document 0 has the three hardest pairs, yet document 1 gets every second one.
    assert places(mine(grades, z, per_query=4)) == [(0, 2), (1, 2), (0, 3), (1, 3)]


def test_a_cap_that_cuts_a_turn_keeps_its_hardest_pairs():
    # Each relevant document's hardest pair is the one with document 3.
    grades, z = [1, 1, 1, 0, 0, 0], [-1.0, -9.0, -5.0, -2.0, -3.0, -4.0]
    assert places(mine(grades, z, per_query=2)) == [(1, 3), (2, 3)]
    assert places(mine(grades, z, per_boundary=4)) == [(1, 3), (2, 3), (0, 3), (1, 4)]
    # The same where the others are fewer: their hardest pairs are with document 0.
    grades, z = [1, 1, 1, 1, 0, 0], [-9.0, -8.0, -7.0, -6.0, -2.0, -1.0]
    assert places(mine(grades, z, per_query=1)) == [(0, 5)]


def test_a_scarce_boundary_bounds_the_others():
    grades = [2, 1, *[0] * 6]
    counts = Counter(pair.chosen_grade for pair in mine(grades, np.arange(8.0)))
    assert counts == {2: 1, 1: 2}
    # Binary judgments have one boundary, which nothing bounds but the caps.
    assert len(mine([1, *[0] * 6], np.arange(7.0))) == 6


def test_a_middle_grade_is_chosen_as_often_as_rejected():
    generator = np.random.default_rng(0)
    for _ in range(20):
        grades = generator.permutation([0] * 9 + [1] * 4 + [2] * 3)
        pairs = mine(grades, generator.normal(size=16), per_query=10)
        assert len(pairs) == 10
        assert sum(pair.chosen_grade == 1 for pair in pairs) == 5
        assert sum(pair.rejected_grade == 1 for pair in pairs) == 5


def test_only_neighbouring_grades_that_are_present_are_paired():
    z = [-1.0, -2.0, -3.0]
    assert {(p.chosen_grade, p.rejected_grade) for p in mine([0, 1, 3], z)} == {(1, 0), (3, 1)}
    assert {(p.chosen_grade, p.rejected_grade) for p in mine([0, 3, 0], z)} == {(3, 0)}
    everything = mine([0, 1, 3], z, hardness="all-levels")
    assert {(p.chosen_grade, p.rejected_grade) for p in everything} == {(1, 0), (3, 1), (3, 0)}


def test_random_pairs_depend_on_the_seed_and_the_query_not_on_z():
    grades, generator = [1] * 5 + [0] * 9, np.random.default_rng(1)
    options = {"hardness": "random", "per_query": 8}
    base = places(mine(grades, generator.normal(size=14), **options))
    assert places(mine(grades, generator.normal(size=14), **options)) == base
    assert places(mine(grades, np.zeros(14), seed=1, **options)) != base
    assert places(mine(grades, np.zeros(14), query="q2", **options)) != base
    # The hard ones do not depend on the seed.
    z = generator.normal(size=14)
    assert mine(grades, z, seed=0) == mine(grades, z, seed=1)


def test_lists_of_one_grade_are_passed_over():
    lists = [
        ("q1", ("a", "b"), np.array([-1.0, -2.0])),
        ("q2", ("a", "b"), np.array([-1.0, -2.0])),
        ("q3", ("a", "b"), np.array([-1.0, -2.0])),
    ]
    qrels = {"q1": {"b": 1}, "q2": {"a": 1, "b": 1}}
    pairs = mine_pairs(iter(lists), qrels, PairOptions(), 0)
    assert pairs.by_query() == {
        "q1": [Pair("q1", "b", "a", 1, 0, -1.0, 1, 0)],
    }


def test_the_summary_counts_boundaries():
    z = [-1.0, -2.0, -3.0, -4.0]
    table = PairSet(mine([0, 1, 2, 2], z) + mine([0, 1, 0, 0], z, query="q2")).summary()
    assert table.columns.tolist() == [
        "chosen_grade",
        "rejected_grade",
        "pairs",
        "queries",
        "mean_margin",
        "misordered",
    ]
    first, second = table.to_dict("records")
    assert (first["chosen_grade"], first["rejected_grade"]) == (1, 0)
    assert (first["pairs"], first["queries"]) == (4, 2)
    # Margins of grade 1 over 0: -1 in q1; -1, 1 and 2 in q2.
    assert first["mean_margin"] == pytest.approx(0.25) and first["misordered"] == 0.5
    assert (second["pairs"], second["queries"], second["misordered"]) == (2, 1, 1.0)


IDS = st.one_of(
    st.sampled_from(["001", "1e5", "NA", "nan", "", "None", 'a"b', "x,y", " spaced ", "true"]),
    st.text(alphabet="aé漢0.-_/\n", min_size=1, max_size=6),
)
PAIRS = st.builds(
    Pair,
    query_id=IDS,
    chosen=IDS,
    rejected=IDS,
    chosen_grade=st.integers(1, 9),
    rejected_grade=st.integers(0, 8),
    margin=st.floats(allow_nan=False, allow_infinity=False),
    chosen_position=st.integers(0, 99),
    rejected_position=st.integers(0, 99),
)


@settings(deadline=None, max_examples=100)
@given(pairs=st.lists(PAIRS, min_size=1, max_size=5))
def test_pairs_survive_their_file(tmp_path_factory, pairs):
    path = tmp_path_factory.getbasetemp() / "pairs.csv"
    PairSet(tuple(pairs)).save(path)
    back = PairSet.load(path)
    assert back == PairSet(tuple(pairs))
    # numpy's numbers would not survive JSON.
    types = [type(value) for value in vars(back.pairs[0]).values()]
    assert types == [str, str, str, int, int, float, int, int]


def test_pairs_of_unread_lists_survive_their_file(tmp_path):
    pairs = mine([1, 0, 0], None) + mine([1, 0], [-1.0, -3.0], query="q2")
    PairSet(pairs).save(tmp_path / "pairs.csv")
    back = PairSet.load(tmp_path / "pairs.csv")
    assert repr(back) == repr(PairSet(pairs))
    row = back.summary().iloc[0]
    assert (row["pairs"], row["mean_margin"], row["misordered"]) == (3, 2.0, 0.0)
    row = PairSet(pairs[:2]).summary().iloc[0]
    assert row["pairs"] == 2 and np.isnan(row["mean_margin"]) and np.isnan(row["misordered"])


def test_an_empty_set_survives_its_file(tmp_path):
    PairSet(()).save(tmp_path / "pairs.csv")
    assert PairSet.load(tmp_path / "pairs.csv") == PairSet(())


HEADER = (
    "query_id,chosen,rejected,chosen_grade,rejected_grade,margin,"
    "chosen_position,rejected_position\n"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r": columns \[\], expected"),
        ("a,b\n1,2\n", r": columns \['a', 'b'\], expected \['query_id', 'chosen'.*mine again"),
        (HEADER + "q,a,b,1,0,-1.5,0,1,7,8\n", r":2: \['q', .* is not a pair"),
        (HEADER + "q,a,b,1,0,-1.5,0,1\nq,a,b,one,0,-1.5,0,1\n", r":3: .*'one'.* is not a pair"),
        (HEADER + "q,a,b,1,0,nan,0,1\n", r":2: .* is not a pair \(margin nan\); mine again"),
        (HEADER + "q,a,b,1,0,-inf,0,1\n", r":2: .*\(margin -inf\)"),
        (HEADER + "q,a,b,1,0\n", r":2: .* is not a pair"),
        (HEADER + "q,a,b,1,0.5,-1.5,0,1\n", r":2: .*'0\.5'.* is not a pair"),
        (HEADER + 'q,"a,b,1,0,-1.5,0,1\n', ": not a table of pairs"),
        (b"\xe9\xfe\x00", ": not a table of pairs"),
        (b"\xff\xfe\x00", ": not UTF-8 but UTF-16; convert"),
        (HEADER + "q,a,b,1_0,0,-1.5,0,1\n", r":2: .*'1_0'.* is not a pair"),
        (HEADER + "q,a,b,1,0,-1.5,0,\u0661\n", r":2: .* is not a pair \(position"),
        (HEADER + "q,a,b,2147483647,0,-1.5,0,1\n", r":2: .* is not a pair .*beyond 1000"),
    ],
)
def test_files_that_hold_no_pairs(tmp_path, content, message):
    path = tmp_path / "pairs.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(HeadRankError, match=rf"pairs\.csv{message}"):
        PairSet.load(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(HeadRankError, match=r"pairs\.csv: no such pairs"):
        PairSet.load(tmp_path / "pairs.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hardness": "soft"}, r"pairs\.hardness is 'soft'; allowed: hard, random, all-levels"),
        ({"per_query": 0}, "per_query is 0; allowed: a whole number from 1"),
        ({"per_boundary": -1}, "per_boundary is -1"),
        ({"margins": "no"}, r"pairs\.margins is 'no'; allowed: true or false"),
    ],
)
def test_options_are_refused_by_name(options, message):
    with pytest.raises(HeadRankError, match=message):
        PairOptions(**options)
