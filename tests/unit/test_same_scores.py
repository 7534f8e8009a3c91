"""The same list has the same scores in Python, in the command and in the workflow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from headrank.align.options import AlignOptions
from headrank.cli import main
from headrank.collections.set_files import save_set
from headrank.data.candidates import CandidateList, Passage
from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.fitting import AlignRecipe, LabelledQuery, align_heads, profile_heads
from headrank.models.card import record_model
from headrank.options.prompt import PromptOptions
from headrank.options.selection import SelectionOptions
from headrank.ranker.options import METHODS
from headrank.ranker.ranker import HeadRanker
from headrank.reading.readings import ReadingFile, cut_summary
from tests.helpers import tiny_models as tiny
from tests.helpers.scripts import script

ROOT = Path(__file__).parents[2]
BUDGET = 12  # of the heads; the texts are longer
QUERIES = {"q1": "what does a policy pay", "q2": "when do dogs bark", "q3": "tomatoes?"}


def lists_of(texts, skip=1):
    """Return a list a query; the second and third leave passages out."""
    return [
        CandidateList(
            name,
            query,
            tuple(f"d{i}" for i in range(skip * number, len(texts))),
            tuple(Passage("", text) for text in texts[skip * number :]),
        )
        for number, (name, query) in enumerate(QUERIES.items())
    ]


def by_command(tmp_path, lists, arguments):
    """Return ``{query: {doc_id: score}}`` of `headrank rerank`, in full precision."""
    lines = [
        {
            "query_id": one.query_id,
            "query": one.query,
            "docs": [
                {"id": d, "text": p.text} for d, p in zip(one.doc_ids, one.passages, strict=True)
            ],
        }
        for one in lists
    ]
    path = tmp_path / "lists.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["rerank", str(path), *arguments, "-o", str(tmp_path / "out.jsonl")]) == 0
    found = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    return {one["query_id"]: {d["id"]: d["score"] for d in one["docs"]} for one in found}


def by_python(ranker, lists):
    """Return the same of the library, called as README calls it."""
    found = {}
    for one in lists:
        passages = [
            {"id": d, "text": p.text} for d, p in zip(one.doc_ids, one.passages, strict=True)
        ]
        ranking = ranker.rerank(one.query, passages, query_id=one.query_id)
        found[one.query_id] = {passage.doc_id: passage.score for passage in ranking}
    return found


def by_workflow(tmp_path, lists, model, heads, adapter, dtype, prompt):
    """Return the same of the deployed path and of the fold of the reading."""
    run = Run.from_scores({one.query_id: {d: 0.0 for d in one.doc_ids} for one in lists})
    save_set(tmp_path / "set", lists, run, Qrels({}))
    weights = {"dtype": dtype, "device": "cpu"}
    shared = {"weights": weights, "prompt": prompt, "order": "shuffled", "seed": 13}
    part = {"shard": 0, "shards": 1, "threads": 1, "code": "digest", "batch_tokens": "auto"}
    part["encode_once"] = False
    fold = METHODS["headrank"]
    fold = {"calibrate": fold.calibrate, "outliers": fold.outliers, "aggregation": fold.aggregation}
    script("rank_truncated").main(
        tmp_path / "set",
        model,
        heads,
        adapter,
        str(tmp_path / "cut.run"),
        tmp_path / "begun",
        fold=fold,
        method="headrank",
        **shared,
        **part,
    )
    script("read_set").main(
        tmp_path / "set",
        model,
        str(tmp_path / "0.npz"),
        tmp_path / "begun",
        layers=None,
        adapter=adapter,
        calibrate=True,
        tokens="none",
        max_logits=False,
        **shared,
        **part,
    )
    script("rank_by_attention").main(
        [str(tmp_path / "0.npz")], [heads], str(tmp_path / "fold.run"), fold, "headrank"
    )
    return [
        {query: dict(ranking) for query, ranking in Run.load(tmp_path / name).rankings.items()}
        for name in ("cut.run", "fold.run")
    ]


@pytest.fixture(autouse=True)
def one_thread(number_of_threads):
    """As a job of the workflow: another number of threads changes a score's last digits."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def trained(request, tmp_path_factory):
    """Return model, heads and adapter that were made in one type of weights."""
    dtype, folder = request.param, tmp_path_factory.mktemp("trained")
    model = folder / "model"
    model.symlink_to(tiny.folder("qwen3"))
    record_model(model, {"kind": "random"})
    examples = [
        LabelledQuery(f"query {n}", tiny.TEXTS, [2 if p == n % 6 else 0 for p in range(6)], f"t{n}")
        for n in range(8)
    ]
    prompt = PromptOptions(document_tokens=BUDGET)
    profile = profile_heads(model, examples, dtype=dtype, prompt=prompt, progress=False)
    heads = profile.select(SelectionOptions(heads=3))
    heads.save(folder / "heads.json")
    recipe = AlignRecipe(AlignOptions(epochs=2, learning_rate=0.05))
    align_heads(model, heads, examples, folder / "adapter", recipe=recipe, progress=False)
    card = json.loads((folder / "adapter/headrank.json").read_text())
    assert card["dtype"] == heads.provenance["dtype"] == dtype
    assert card["wrapper"] == heads.provenance["wrapper"]
    return dtype, model, folder


@pytest.mark.parametrize("aligned", [False, True])
def test_three_lists_have_one_score_each(tmp_path, trained, aligned):
    dtype, model, folder = trained
    lists = lists_of(tiny.TEXTS)
    heads, adapter = str(folder / "heads.json"), folder / "adapter" if aligned else None
    ranker = HeadRanker.from_pretrained(model, heads, adapter, document_tokens="heads")
    assert ranker.model.dtype == dtype
    python = by_python(ranker, lists)
    arguments = ["--model", str(model), "--heads", heads, "--document-tokens", "heads", "--quiet"]
    arguments += ["--adapter", str(adapter)] if aligned else []
    assert by_command(tmp_path, lists, arguments) == python
    prompt = {"document_tokens": BUDGET}
    cut, folded = by_workflow(tmp_path, lists, model, heads, adapter, dtype, prompt)
    assert cut == python
    for query, scores in python.items():
        assert list(folded[query]) == list(cut[query])
        np.testing.assert_allclose(list(folded[query].values()), list(cut[query].values()), 1e-5)
        assert len(set(scores.values())) == len(scores)
    # The adapter alone says as much as the heads do.
    if aligned:
        alone = HeadRanker.from_pretrained(model, adapter=adapter, document_tokens="heads")
        assert by_python(alone, lists) == python


def test_a_type_of_weights_is_changed_by_asking(trained):
    _, model, folder = trained
    for asked in ("float32", "bfloat16"):
        ranker = HeadRanker.from_pretrained(model, folder / "heads.json", dtype=asked)
        assert ranker.model.dtype == asked


def test_own_texts_are_read_whole_by_default(tmp_path, trained, capsys, caplog):
    _, model, folder = trained
    heads = folder / "heads.json"
    (one, *_) = lists = lists_of(tiny.TEXTS)
    cut = HeadRanker.from_pretrained(model, heads, document_tokens="heads")
    whole = HeadRanker.from_pretrained(model, heads)
    assert whole.options.fit and not cut.options.fit
    ranking = whole.rerank(one.query, tiny.TEXTS)
    assert all(passage.tokens == passage.kept_tokens > 0 for passage in ranking)
    assert "cut" not in caplog.text
    short = {p.index: p for p in cut.rerank(one.query, tiny.TEXTS)}
    for passage in ranking:
        kept = short[passage.index].kept_tokens
        assert passage.tokens == short[passage.index].tokens
        assert kept == passage.tokens or BUDGET - 1 <= kept <= BUDGET < passage.tokens
    number = sum(p.kept_tokens < p.tokens for p in short.values())
    assert number and f"{number} of 6 passages were cut" in caplog.text
    cut.rerank(one.query, tiny.TEXTS)
    assert caplog.text.count("passages were cut") == 1
    # The command says it once for all lists, and with each passage.
    arguments = ["--model", str(model), "--heads", str(heads), "--quiet"]
    by_command(tmp_path, lists, arguments)
    assert capsys.readouterr().err == ""
    by_command(tmp_path, lists, [*arguments, "--document-tokens", "heads"])
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"of {sum(len(x.doc_ids) for x in lists)} passages" in told
    docs = [d for line in (tmp_path / "out.jsonl").open() for d in json.loads(line)["docs"]]
    assert all(d["tokens"] > d["kept_tokens"] for d in docs if "tokens" in d)
    assert any("tokens" in d for d in docs) and not all("tokens" in d for d in docs)


def test_texts_that_do_not_fit_whole_are_cut_alike_but_not_below_the_heads_budget(trained):
    _, model, folder = trained
    words = " ".join(tiny.TEXTS).split()
    texts = [" ".join(words[(i + j) % len(words)] for j in range(150)) for i in range(6)]
    ranker = HeadRanker.from_pretrained(model, folder / "heads.json")
    sizes = [(p.tokens, p.kept_tokens) for p in ranker.rerank("why", texts)]
    kept = [k for _, k in sizes]
    assert max(kept) - min(kept) <= 1 and BUDGET < min(kept) < min(t for t, _ in sizes)
    prompt = ranker.builder.build(lists_of(texts, 0)[0], ["why"])
    assert prompt.length <= ranker.model.context < prompt.length + 2 * len(texts)
    many = ranker.rerank("why", (text for text in texts * 8))
    assert max(p.kept_tokens for p in many) in (BUDGET, BUDGET + 1, BUDGET + 2)
    with pytest.raises(HeadRankError, match=r"72 documents make .* --window N"):
        ranker.rerank("why", texts * 12)
    saved = folder / "saved"
    if not saved.exists():
        ranker.save_pretrained(saved)
    assert HeadRanker.from_pretrained(saved).options == ranker.options
    assert not HeadRanker.from_pretrained(saved, document_tokens=9).options.fit


def test_readings_note_what_was_cut(tmp_path, trained):
    dtype, model, folder = trained
    lists = lists_of(tiny.TEXTS)
    heads = str(folder / "heads.json")
    for budget in (BUDGET, None):
        target = tmp_path / str(budget)
        target.mkdir()
        by_workflow(target, lists, model, heads, None, dtype, {"document_tokens": budget})
        cuts = [reading.cut for reading in ReadingFile(target / "0.npz")]
        assert any(cuts) == (budget is not None)
        found = [size for cut in cuts for size in cut.values()]
        assert cut_summary([ReadingFile(target / "0.npz")]) == {
            "documents": sum(len(one.doc_ids) for one in lists),
            "cut": len(found),
            "tokens": sum(tokens for tokens, _ in found),
            "kept_tokens": sum(kept for _, kept in found),
        }
        for cut in cuts:
            assert all(kept <= budget < tokens for tokens, kept in cut.values())


def test_objects_are_shown_on_one_line(trained):
    _, model, folder = trained
    shown = repr(HeadRanker.from_pretrained(model, folder / "heads.json"))
    assert shown.startswith("HeadRanker(headrank, 3 heads of LoadedModel(")
    assert "\n" not in shown and len(shown) < 300


def test_heads_of_one_layer_tell_nothing_of_dtype():
    ranker = HeadRanker.from_pretrained(tiny.folder("qwen3"), HeadSet((Head(2, 3),)))
    assert ranker.model.dtype == "float32"


@pytest.mark.parametrize(
    ("provenance", "message"),
    [
        ([], r"'provenance' is \[\], expected an object"),
        ({"prompt": 3}, r"'provenance\.prompt' is 3, expected an object"),
        ({"prompt": {"colour": 1}}, r"has the field 'colour'; allowed: header, marker"),
        ({"dtype": "int8"}, r"dtype is 'int8'; allowed: float32, bfloat16\. Correct it"),
    ],
)
def test_a_provenance_of_another_shape_is_told_in_one_line(tmp_path, provenance, message):
    text = json.dumps({"provenance": provenance, "heads": [{"layer": 1, "head": 0}]})
    (tmp_path / "heads.json").write_text(text)
    with pytest.raises(HeadRankError, match=message):
        HeadRanker.from_pretrained(tiny.folder("qwen3"), tmp_path / "heads.json")


@pytest.mark.parametrize("budget", [0, True, 1.5, "all"])
def test_a_budget_that_is_none_is_told_with_what_is_allowed(budget):
    with pytest.raises(HeadRankError, match="allowed: a whole number from 1, or fit or heads"):
        HeadRanker.from_pretrained(tiny.folder("qwen3"), method="icr", document_tokens=budget)
