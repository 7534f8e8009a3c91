"""The method follows the heads: what is told, else saved, else noted with them, else headrank."""

from __future__ import annotations

import json

import pytest

import headrank
from headrank.cli import main
from headrank.data.heads import HeadSet
from headrank.errors import HeadRankError
from headrank.fitting import profile_heads
from headrank.options.selection import SELECTIONS
from headrank.ranker.options import METHODS
from headrank.ranker.ranker import HeadRanker
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import QUERIES, labelled, record, refused, write
from tests.helpers.rankers import HEADS, QUERY, examples, scores


def noted(method: object) -> HeadSet:
    return HeadSet(HEADS.heads, {"method": method})


def read(heads, **told) -> HeadRanker:
    return HeadRanker.from_pretrained(tiny.folder("qwen3"), heads, **told)


@pytest.mark.parametrize("method", SELECTIONS)
def test_profiled_heads_are_read_by_the_method_that_selected_them(method):
    profile = profile_heads(tiny.folder("qwen3"), examples(4), progress=False)
    mine = read(profile.select(method, heads=3))
    assert (mine.options.method, mine.options.fold) == (method, METHODS[method])
    # What one selects by options of one's own is of no method.
    assert read(profile.select(SELECTIONS[method])).options.method == "headrank"


def test_python_selects_by_default_what_the_command_selects(tmp_path):
    rows = [labelled(number) for number in range(6)]
    path, model = write(tmp_path / "l.jsonl", rows), str(tiny.folder("qwen3"))
    given = [
        headrank.LabelledQuery(
            row["query"],
            [one["text"] for one in row["docs"]],
            [one["grade"] for one in row["docs"]],
            row["query_id"],
        )
        for row in rows
    ]
    profile = headrank.profile_heads(model, given, progress=False)
    for method in SELECTIONS:
        out = str(tmp_path / f"{method}.json")
        assert main(["profile", path, "--model", model, "--method", method, "-o", out]) == 0
        assert HeadSet.load(out).heads == profile.select(method).heads
        assert HeadSet.load(out).provenance["method"] == method
    assert profile.select() == profile.select("headrank")
    assert profile.select().provenance["selection"]["entropy_weight"] == 0.1


def test_a_command_ranks_by_the_method_of_its_heads(tmp_path, capsys):
    model, heads = str(tiny.folder("qwen3")), str(tmp_path / "core.json")
    path = write(tmp_path / "l.jsonl", [labelled(number) for number in range(4)])
    arguments = ["profile", path, "--model", model, "--method", "core", "--count", "3"]
    assert main([*arguments, "-o", heads]) == 0
    lists = write(tmp_path / "lists.jsonl", [record(name) for name in QUERIES])

    def ranked(*told) -> str:
        capsys.readouterr()
        assert main(["rerank", lists, "--model", model, "--heads", heads, *told]) == 0
        return capsys.readouterr().out

    assert ranked() == ranked("--method", "core") != ranked("--method", "headrank")
    main(["info", heads])
    assert 'method: "core"' in capsys.readouterr().out


def test_what_is_told_goes_first_then_what_was_saved(tmp_path):
    core = read(noted("core"))
    assert core.options.method == "core"
    assert read(noted("core"), method="headrank").options.method == "headrank"
    read(HEADS).save_pretrained(tmp_path / "saved")
    again = HeadRanker.from_pretrained(tmp_path / "saved", noted("core"))
    assert again.options.method == "headrank"
    core.save_pretrained(tmp_path / "core")
    assert HeadRanker.from_pretrained(tmp_path / "core").options == core.options


def test_heads_without_a_method_rank_as_before():
    for heads in (HEADS, noted(None)):
        assert read(heads).options.method == "headrank"
    told = scores(read(noted("qrhead")).rerank(QUERY, tiny.TEXTS))
    assert told == scores(read(HEADS, method="qrhead").rerank(QUERY, tiny.TEXTS))


def test_an_adapter_is_trained_for_headrank_whatever_selected_its_heads(adapter):
    mine = HeadRanker.from_pretrained(tiny.folder("qwen3"), noted("core"), adapter)
    assert mine.options.method == "headrank"


def test_a_method_that_is_none_is_refused(tmp_path, capsys):
    with pytest.raises(HeadRankError, match=r"heads' provenance: method is 'cores'; .*'core'"):
        read(noted("cores"))
    (tmp_path / "h.json").write_text(
        json.dumps({"heads": [{"layer": 0, "head": 1}], "provenance": {"method": 3}})
    )
    with pytest.raises(HeadRankError, match=r"'provenance\.method' is 3, expected a text"):
        read(tmp_path / "h.json")


def test_a_selection_s_name_with_a_slip_is_answered(tmp_path):
    profile = profile_heads(tiny.folder("qwen3"), examples(4), progress=False)
    for given, message in (
        ("cor", r"method is 'cor'; allowed: headrank, core, qrhead \(did you mean 'core'"),
        (3, "method is 3; allowed: headrank, core, qrhead"),
        (None, "method is null; allowed: headrank, core, qrhead"),
    ):
        with pytest.raises(HeadRankError, match=message):
            profile.select(given)
    with pytest.raises(HeadRankError, match=r"count is not a key; allowed: .*heads"):
        profile.select(count=3)


def test_published_sets_bring_their_publisher_s_method(capsys):
    from headrank.heads.named import published_heads

    methods = {name.split("/")[0]: one.method for name, one in published_heads().items()}
    assert (methods["core"], methods["qrhead-nq"], methods["qrranker"]) == ("core", "qrhead", None)
    assert set(methods.values()) <= {*METHODS, None}
    assert main(["info", "--published"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert "verified" not in rows[0]
    for family, told in (("core", "core"), ("qrhead-nq", "qrhead"), ("qrranker", "headrank")):
        cells = next(row for row in rows if row.startswith(f"{family}/")).split()
        assert cells[-3] == told and cells[-2:] == ["known", "data"]
    assert main(["info", "core/llama-3.1-8b"]) == 0
    assert 'method: "core"' in capsys.readouterr().out


def test_unknown_arguments_are_told_with_the_command_s_usage(capsys):
    given = ["rerank", "l.jsonl", "--model", "m", "--documment-tokens", "20"]
    with pytest.raises(SystemExit) as ended:
        main(given)
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.startswith("usage: headrank rerank")
    assert "unrecognized arguments: --documment-tokens" in told
    assert "(did you mean '--document-tokens'?)" in told
    assert "x" not in refused(capsys, ["info"], code=2).split("give")[0]
