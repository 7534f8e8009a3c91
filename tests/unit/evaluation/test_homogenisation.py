"""Relevance along the prompt: what position explains, and how far scores lie apart, by hand."""

import numpy as np
import pytest

from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.evaluation.homogenisation import (
    ZONES,
    Scored,
    by_position,
    chance_share,
    parts_of,
    position_share,
    scored_reading,
    zone_spread,
)
from headrank.evaluation.middle_zone import prompt_orders
from headrank.options.fold import Fold
from headrank.reading.readings import ListReading, ReadingFile, save_readings

TWENTY = tuple(f"d{i}" for i in range(20))


def test_by_position_by_hand():
    lists = [
        Scored("q1", ("a", "b"), np.array([0.0, 2.0])),  # z: -1, 1
        Scored("q2", ("c", "d", "e", "f"), np.array([4.0, 0.0, 0.0, 4.0])),  # z: 1, -1, -1, 1
    ]
    table = by_position(lists, Qrels({"q1": {"b": 1}}), parts=2)
    rows = table.set_index(["part", "kind"])
    assert rows.loc[(1, "all"), "documents"] == 3 and rows.loc[(1, "other"), "documents"] == 3
    assert rows.loc[(1, "all"), "mean"] == pytest.approx(-1 / 3)
    assert rows.loc[(1, "all"), "sd"] == pytest.approx(np.std([-1, 1, -1], ddof=1))
    assert rows.loc[(2, "relevant"), ["documents", "mean"]].tolist() == [1, 1]
    assert np.isnan(rows.loc[(2, "relevant"), "sd"]) and np.isnan(rows.loc[(1, "relevant"), "mean"])
    assert rows.loc[(2, "other"), "mean"] == 0
    assert table[["start", "stop"]].drop_duplicates().to_numpy().tolist() == [[0, 0.5], [0.5, 1]]


def test_position_share_is_one_for_position_and_near_zero_for_noise():
    generator = np.random.default_rng(0)
    names = tuple(f"d{i}" for i in range(20))
    recency = [Scored(f"q{i}", names, np.arange(20.0)) for i in range(5)]
    assert position_share(by_position(recency, Qrels({}), 20)) == pytest.approx(1)
    noise = [Scored(f"q{i}", names, generator.normal(size=20)) for i in range(300)]
    assert position_share(by_position(noise, Qrels({}), 10)) < 0.01
    equal = [Scored("q", names, np.ones(20))]
    assert position_share(by_position(equal, Qrels({}), 10)) == 0


def test_noise_explains_on_average_what_chance_is_said_to():
    generator = np.random.default_rng(0)
    names = tuple(f"d{i}" for i in range(20))
    tables = [
        by_position(
            [Scored(f"q{i}", names, generator.normal(size=20)) for i in range(25)], Qrels({})
        )
        for _ in range(60)
    ]
    assert chance_share(tables[0]) == 9 / 499
    shares = [position_share(table) for table in tables]
    error = np.std(shares) / len(shares) ** 0.5
    assert abs(np.mean(shares) - chance_share(tables[0])) < 3 * error


def test_seeds_are_no_samples_of_one_another():
    """They share queries and places: three times the lists do not make chance a third."""
    generator = np.random.default_rng(0)
    names = tuple(f"d{i}" for i in range(20))
    lists = [Scored(f"q{i}", names, generator.normal(size=20)) for i in range(25)]
    alone, joined = by_position(lists, Qrels({})), by_position(3 * lists, Qrels({}))
    assert joined["documents"].tolist() == alone["documents"].tolist()
    assert chance_share(joined) == chance_share(alone) == 9 / 499
    assert position_share(joined) == pytest.approx(position_share(alone), rel=0.02)


def test_without_a_document_that_is_not_relevant_no_share_is_told():
    lists = [Scored("q1", ("a", "b"), np.array([0.0, 2.0]))]
    table = by_position(lists, Qrels({"q1": {"a": 1, "b": 1}}), parts=2)
    assert np.isnan(position_share(table)) and np.isnan(chance_share(table))


def test_short_lists_and_no_lists_are_refused():
    with pytest.raises(HeadRankError, match="query q has 2 documents, fewer than the 10 parts"):
        by_position([Scored("q", ("a", "b"), np.array([0.0, 1.0]))], Qrels({}))
    with pytest.raises(HeadRankError, match="no list"):
        by_position([], Qrels({}))


def test_a_prompt_has_as_many_parts_as_half_of_the_lists_have_documents():
    lists = [Scored(f"q{n}", tuple(map(str, range(n))), np.zeros(n)) for n in (3, 5, 5, 9)]
    assert (parts_of(lists, 10), parts_of(lists, 4), parts_of(lists[:1], 10)) == (5, 4, 3)
    with pytest.raises(HeadRankError, match="there is no list to look at"):
        parts_of([], 10)


def test_positions_know_the_lowest_relevant_grade():
    lists = [Scored("q", ("a", "b"), np.array([0.0, 2.0]))]
    judged = Qrels({"q": {"a": 1, "b": 2}})
    for level, relevant in ((1, [1, 1]), (2, [0, 1])):
        rows = by_position(lists, judged, 2, level).set_index("kind")
        assert rows.loc["relevant", "documents"].tolist() == relevant


def test_zone_spread_by_hand():
    # Squares about a mean of 0: 8 + 4 + 18 of 8 documents, 8 + 0 + 8.
    wide = np.array([-2.0, 2.0, -1.0, 1.0, -1.0, 1.0, -3.0, 3.0])
    flat = np.array([-2.0, 2.0, 0.0, 0.0, 0.0, 0.0, -2.0, 2.0])  # its middle is homogenised
    table = zone_spread([Scored("q1", TWENTY[:8], wide)]).set_index("zone")
    ratios = np.array([8 / 1, 4 / 3, 18 / 1]) / (30 / 7)
    assert table["spread"].tolist() == pytest.approx(np.sqrt(ratios))
    assert table[["low", "high"]].to_numpy().T.tolist() == [table["spread"].tolist()] * 2
    both = [Scored("q1", TWENTY[:8], wide), Scored("q2", TWENTY[:8], flat)]
    table = zone_spread(both).set_index("zone")
    assert table.loc["middle", "spread"] == pytest.approx(np.sqrt(ratios[1] / 2))
    assert (table["queries"] == 2).all()
    # Scale and offset of the scores do not matter.
    again = zone_spread([Scored(s.query_id, s.doc_ids, 7 + 1e-3 * s.scores) for s in both])
    assert again["spread"].tolist() == pytest.approx(table["spread"].tolist())
    # Two seeds of one query are one query.
    seeds = zone_spread([both[0], both[0], both[1]]).set_index("zone")
    assert seeds["spread"].tolist() == pytest.approx(table["spread"].tolist())


def test_zone_spread_intervals_hold_the_mean_and_narrow_with_queries():
    generator = np.random.default_rng(1)
    lists = [Scored(f"q{i}", TWENTY, generator.normal(size=20)) for i in range(200)]
    few, many = zone_spread(lists[:20]), zone_spread(lists)
    for table in (few, many):
        assert (table["low"] < table["spread"]).all() and (table["spread"] < table["high"]).all()
    assert ((many["high"] - many["low"]) < (few["high"] - few["low"])).all()
    # Of noise, a zone is as wide as the list, however many documents it has.
    assert many["spread"].between(0.95, 1.05).all()


def test_zone_spread_leaves_out_what_has_none():
    short = Scored("q1", TWENTY[:7], np.arange(7.0))
    equal = Scored("q2", TWENTY, np.ones(20))
    table = zone_spread([short, equal])
    assert table["zone"].tolist() == list(ZONES)
    assert table["spread"].isna().all() and (table["queries"] == 0).all()
    one = Scored("q3", TWENTY, np.arange(20.0))
    assert (zone_spread([short, equal, one])["queries"] == 1).all()


def test_scores_of_a_reading(tmp_path):
    mass = np.array([[[0.3, 0.1, 0.6]], [[0.2, 0.2, 0.6]]], dtype=np.float32)
    save_readings(tmp_path / "r.npz", [ListReading("q", ("x", "y", "z"), mass)], {})
    shards = [ReadingFile(tmp_path / "r.npz")]
    assert prompt_orders(shards) == {"q": ("x", "y", "z")}
    (folded,) = scored_reading(shards, None, Fold())
    assert folded.doc_ids == ("x", "y", "z")
    assert folded.scores == pytest.approx([0.5, 0.3, 1.2])
