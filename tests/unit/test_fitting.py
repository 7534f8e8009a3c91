"""Heads profiled and aligned from labelled queries: what is checked, and what is held out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrank.align.forward import HeadReader
from headrank.align.loop import Training
from headrank.align.options import AlignOptions
from headrank.data import list_records
from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.fitting import (
    AlignRecipe,
    LabelledQuery,
    align_heads,
    as_lists,
    profile_heads,
    split,
)
from headrank.options.selection import SelectionOptions
from headrank.ranker.options import RankerOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading import unfinished
from tests.helpers import tiny_models as tiny
from tests.helpers.alignment import Killed, contents
from tests.helpers.rankers import QUERY, examples


def test_profile_heads_of_labelled_queries():
    profile = profile_heads(tiny.folder("llama"), examples(), progress=False)
    heads = profile.select(SelectionOptions(heads=3))
    assert profile.queries == tuple(f"q{n}" for n in range(8))
    assert heads.provenance["layers"] == tiny.LAYERS
    mine = HeadRanker.from_pretrained(tiny.folder("llama"), heads)
    assert mine.options == RankerOptions(fit=True)
    assert len(mine.rerank(QUERY, tiny.TEXTS)) == 6


def test_a_killed_profile_is_the_same_behind_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(unfinished, "EVERY", 0.0)
    folder = tmp_path / "begun"
    whole, kept = unfinished.Unfinished.kept, []

    def killed(self, readings, done=0):
        for reading in whole(self, readings, done):
            if reading.query_id == "q5":
                raise Killed
            kept.append(reading.query_id)
            yield reading

    with monkeypatch.context() as patch:
        patch.setattr(unfinished.Unfinished, "kept", killed)
        with pytest.raises(Killed):
            profile_heads(tiny.folder("llama"), examples(), checkpoint=folder, progress=False)
    assert kept == [f"q{number}" for number in range(5)]
    expected = profile_heads(tiny.folder("llama"), examples(), progress=False)
    left = profile_heads(tiny.folder("llama"), examples(), checkpoint=folder, progress=False)
    assert left.select() == expected.select()
    assert left.table().equals(expected.table())
    assert list(folder.iterdir()) == []
    with pytest.raises(HeadRankError, match="checkpoint is 3; allowed: a path, or None"):
        profile_heads(tiny.folder("llama"), examples(), checkpoint=3)


def test_a_killed_alignment_reads_no_list_again_to_mine_pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(list_records, "EVERY", 0.0)
    read, stops = [], set()
    relevance = HeadReader.shuffled_relevance

    def counted(self, candidates, seed):
        if candidates.query_id in stops:
            raise Killed
        if candidates.query_id != "held":
            read.append(candidates.query_id)
        return relevance(self, candidates, seed)

    monkeypatch.setattr(HeadReader, "shuffled_relevance", counted)
    heads = HeadSet((Head(1, 0), Head(2, 1)))
    recipe = AlignRecipe(options=AlignOptions(epochs=1, batch=2), seed=1)

    held = [_other(examples(1)[0])]

    def align(name, **changes):
        align_heads(
            tiny.folder("llama"),
            heads,
            examples(6),
            tmp_path / name,
            validation=held,
            recipe=replace(recipe, **changes),
            progress=False,
        )
        return contents(tmp_path / name)

    unbroken = align("unbroken")
    assert read == [f"q{number}" for number in range(6)]
    begun = tmp_path / "begun"
    stops.add("q4")
    with pytest.raises(Killed) as kept:  # with all that its frames hold
        align("a", checkpoint=begun)
    stops.clear()
    read.clear()

    def killed(self, chosen):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Training, "take_step", killed)
        with pytest.raises(Killed):
            align("a", checkpoint=begun)
    assert read == ["q4", "q5"]
    assert align("a", checkpoint=begun) == unbroken
    assert read == ["q4", "q5"] and kept
    assert not begun.exists()
    # A folder of a user's stays, and what is in it, whatever its name.
    for name in ("documents", "pairs"):
        (begun / name).mkdir(parents=True)
        (begun / name / "store.json").write_text("mine")
    align("b", checkpoint=begun)
    assert sorted(path.name for path in begun.iterdir()) == ["documents", "pairs"]
    assert all((begun / name / "store.json").is_file() for name in ("documents", "pairs"))
    (tmp_path / "empty").mkdir()
    align("c", checkpoint=tmp_path / "empty")
    assert not any((tmp_path / "empty").iterdir())


@pytest.fixture
def unread(monkeypatch):
    """Let no list be read."""
    monkeypatch.setattr(HeadReader, "read", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": AlignOptions(both_layouts=True)}, "query long: document .* 256"),
        ({"options": AlignOptions(batch=5)}, "4 training queries .* fewer than one step takes"),
    ],
)
@pytest.mark.usefixtures("unread")
def test_what_no_step_could_take_is_told_before_any_list_is_read(tmp_path, changes, message):
    given = examples(4)
    # It fits a joint prompt, and has no room before the query where documents are read apart.
    passages = [*tiny.TEXTS[:-1], "house " * 300]
    given[-1] = replace(given[-1], passages=passages, query_id="long")
    with pytest.raises(HeadRankError, match=message):
        align_heads(
            tiny.folder("llama"),
            HeadSet((Head(1, 0),)),
            given,
            tmp_path / "a",
            validation=[_other(examples(1)[0])],
            recipe=AlignRecipe(checkpoint=tmp_path / "begun", **changes),
            progress=False,
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("last", ["training", "validation"])
@pytest.mark.usefixtures("unread")
def test_a_list_that_does_not_fit_is_told_before_any_is_read(tmp_path, last):
    given = {"training": examples(4), "validation": [_other(examples(1)[0])]}
    long = [*tiny.TEXTS[:-1], "house " * 3000]
    given[last][-1] = replace(given[last][-1], passages=long, query_id="long")
    with pytest.raises(HeadRankError, match=r"query long: 6 documents make .* the model.s context"):
        align_heads(
            tiny.folder("llama"),
            HeadSet((Head(1, 0),)),
            given["training"],
            tmp_path / "a",
            validation=given["validation"],
            progress=False,
        )


@pytest.mark.usefixtures("unread")
def test_validation_queries_of_one_grade_are_told_before_any_is_read(tmp_path):
    with pytest.raises(HeadRankError, match="no validation query has candidates of two grades"):
        align_heads(
            tiny.folder("llama"),
            HeadSet((Head(1, 0),)),
            examples(4),
            tmp_path / "a",
            validation=[replace(_other(examples(1)[0]), grades=[1] * 6)],
            progress=False,
        )


def _other(example):
    return replace(example, query="what is held out", query_id="held")


def test_a_checkpoint_of_other_settings_is_refused_before_any_list_is_read(tmp_path, monkeypatch):
    def align(**changes):
        align_heads(
            tiny.folder("llama"),
            HeadSet((Head(1, 0),)),
            examples(4),
            tmp_path / "a",
            validation=[_other(examples(1)[0])],
            recipe=AlignRecipe(checkpoint=tmp_path / "begun", **changes),
            progress=False,
        )

    options = AlignOptions(epochs=1, batch=2, checkpoint_every=1)
    step = Training.take_step

    def killed(self, chosen):
        if self.progress.total:
            raise Killed
        step(self, chosen)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "take_step", killed)
        with pytest.raises(Killed):
            align(options=options)
    monkeypatch.setattr(HeadReader, "read", None)
    for changes in (
        {"prompt": {"document_tokens": 5}},
        {"documents": 4},
        {"seed": 2},
        {"options": replace(options, epochs=2)},
    ):
        with pytest.raises(HeadRankError, match="written with other settings, heads, data"):
            align(**{"options": options, **changes})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grades": [1, 0]}, "2 grades for 6 passages"),
        ({"grades": [0.5] * 6}, "grade 0.5 is not a whole number"),
        ({"query_id": "q1"}, "q1 stands twice"),
    ],
)
def test_labelled_queries_are_checked(change, message):
    good = examples(2)
    bad = LabelledQuery(**{"query": "x", "passages": tiny.TEXTS, "grades": [1] * 6} | change)
    with pytest.raises(HeadRankError, match=message):
        as_lists([*good, bad])


def test_hold_out_is_a_seeded_share():
    lists, _ = as_lists(examples(10))
    kept, held = split(lists, 0.3, 1)
    assert len(held) == 3
    assert {one.query_id for one in kept} | {one.query_id for one in held} == {
        f"q{n}" for n in range(10)
    }
    assert split(lists, 0.3, 1)[1] == held != split(lists, 0.3, 2)[1]
    with pytest.raises(HeadRankError, match="holding out"):
        split(lists[:2], 0.1, 1)


def test_one_query_under_two_ids_is_held_out_whole():
    lists, _ = as_lists(examples(6))
    twins = [replace(one, query_id=f"{one.query_id}-again") for one in lists]
    shouted = [replace(one, query=one.query.upper() + "  ") for one in twins]
    kept, held = split([*lists, *shouted], 0.5, 1)
    assert len(kept) == len(held) == 6
    assert not {one.query.upper().strip() for one in kept} & {one.query.upper() for one in held}
    with pytest.raises(HeadRankError, match=r"holding out 0\.5 of 1 queries leaves 1"):
        split([lists[0], shouted[0]], 0.5, 1)


def test_a_validation_query_that_trains_is_refused(tmp_path):
    heads = HeadSet((Head(1, 0),))
    again = [replace(examples(3)[2], query_id="other")]
    with pytest.raises(HeadRankError, match=r"validation query 'other' also stands among .* 'q2'"):
        align_heads(
            tiny.folder("llama"),
            heads,
            examples(4),
            tmp_path / "a",
            validation=again,
            progress=False,
        )
    assert not (tmp_path / "a").exists()
