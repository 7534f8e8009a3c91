"""The model card of a shared ranker: what its files tell, and nothing that they do not."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from headrank.data.heads import HeadSet
from headrank.errors import HeadRankError, kind_of
from headrank.io.files import read_json
from headrank.ranker.hub import is_folder
from headrank.ranker.origin import ADAPTER, HEADS

README = "README.md"
TAGS = ("headrank", "reranking", "attention")
_COLUMNS = ("collection", "metric", "value", "queries", "note")
_USE = """\
```python
from headrank import HeadRanker

ranker = HeadRanker.from_pretrained({arguments})
for one in ranker.rerank("my query", ["a passage", "another passage"]):
    print(one.rank, one.score, one.passage.text)
```"""


def check_results(results: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return the user's own numbers, each with ``metric`` and ``value``.

    Raises:
        HeadRankError: a key that is not known, no metric, or a value that is not a number.
    """
    if isinstance(results, (str, Mapping)) or not isinstance(results, Iterable):
        raise HeadRankError(
            f"results is {kind_of(results)}; give a list of objects with {', '.join(_COLUMNS)}"
        )
    checked = []
    for number, one in enumerate(results):
        where = f"results, entry {number}"
        if not isinstance(one, Mapping) or not {"metric", "value"} <= set(one) <= set(_COLUMNS):
            raise HeadRankError(
                f"{where}: {one!r:.80}; give metric and value, and where you know them "
                "collection, queries and note"
            )
        value, queries = one["value"], one.get("queries")
        if type(value) not in (int, float) or not math.isfinite(value):
            raise HeadRankError(f"{where}: value is {value!r:.40}; give a finite number")
        if queries is not None and (type(queries) is not int or queries < 1):
            raise HeadRankError(f"{where}: queries is {queries!r:.40}; give a number from 1")
        checked.append(dict(one))
    return checked


def model_card(
    folder: Path,
    card: Mapping[str, Any],
    repo: str,
    results: Iterable[Mapping[str, object]] = (),
    license: str | None = None,
) -> str:
    """Return the text of the model card: YAML for the hub, then what is known, in Markdown.

    Args:
        folder: of the saved ranker.
        card: its ``ranker.json``.
        repo: where it will lie, for the lines that use it.
        results: numbers of the user's own, as `check_results` returns them.
        license: of the heads and the adapter, as the hub writes it; None leaves it out.
    """
    heads = HeadSet.load(folder / HEADS) if card["heads"] else None
    adapter = folder / ADAPTER if card["adapter"] else None
    repository, revision = base_of(card)
    parts = [
        f"---\n{_metadata(repository, license, adapter is not None)}\n---",
        f"# {repo.partition('/')[2]}",
        _what(heads, repository or _name(card)),
        "\n".join(_table(("", ""), _facts(card, heads, repository, revision))),
        "## Use",
        _USE.format(arguments=_arguments(repo, card)),
        "## How the heads were found",
        "\n".join(_found(heads)),
    ]
    if adapter is not None:
        parts += ["## Training of the adapter", "\n".join(_training(adapter))]
    parts += ["## Results given by the author", "\n".join(_given(results))]
    return "\n\n".join(parts) + "\n"


def base_of(card: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the hub's repository and commit of the base model; None where not known."""
    model = card["model"]
    if not is_folder(model["path"]):
        return model["path"], model.get("revision")
    repository, at, commit = (model.get("origin") or "").partition(" at ")
    return (repository, commit) if at else (None, None)


def _metadata(repository: str | None, license: str | None, adapter: bool) -> str:
    from huggingface_hub import ModelCardData

    return ModelCardData(
        base_model=repository,
        base_model_relation="adapter" if adapter and repository else None,
        license=license,
        library_name="headrank",
        pipeline_tag="text-ranking",
        tags=list(TAGS),
    ).to_yaml()


def _name(card: Mapping[str, Any]) -> str:
    return Path(card["model"]["path"]).name


def _what(heads: HeadSet | None, base: str) -> str:
    if heads is None:
        read = f"the attention of all heads of {plain(base)}"
    else:
        read = f"the attention of {len(heads.heads)} heads of {plain(base)}"
    return (
        f"A HeadRank ranker: it scores passages by {read} in one prefill, without generating. This "
        "repository holds no weights of the base model."
    )


def _arguments(repo: str, card: Mapping[str, Any]) -> str:
    if base_of(card)[0] is not None:
        return f'"{repo}"'
    return f'"{repo}", model="path/to/{plain(_name(card))}"'


def _facts(
    card: Mapping[str, Any], heads: HeadSet | None, repository: str | None, revision: str | None
) -> Iterator[tuple[object, object]]:
    options = card["options"]
    yield "base model", repository or f"a folder named {_name(card)}; its origin is not recorded"
    yield "revision of the base model", revision or "not recorded"
    yield "digest of its weights", card["model"].get("digest") or "not recorded"
    yield "precision", card.get("dtype", "not recorded")
    yield "method", options.get("method", "not recorded")
    if heads is None:
        yield "heads", "all"
    else:
        yield "heads (layer.head, from 0)", ", ".join(f"{a}.{b}" for a, b in heads.pairs)
        yield "layers computed", heads.deepest + 1
    yield "adapter", "yes" if card["adapter"] else "none"
    yield "layout of the prompt", options.get("prompt", {}).get("layout", "joint")
    yield "made with HeadRank", card.get("headrank", "not recorded")


# What a head set's provenance may tell, in the order in which a reader asks.
_PROVENANCE = (
    ("published", "published as"),
    ("method", "selected for method"),
    ("found", "found by"),
    ("source", "source"),
    ("paper", "paper"),
    ("licence", "licence of the source"),
    ("verified", "what it was selected on is known"),
    ("collection", "collection"),
    ("profiling_queries", "queries of the profile"),
    ("order", "order of the passages"),
    ("seed", "seed"),
    ("dtype", "precision of the profile"),
)


def _found(heads: HeadSet | None) -> list[str]:
    if heads is None:
        return ["All heads are read; none were selected."]
    made = heads.provenance
    rows = [(name, made[key]) for key, name in _PROVENANCE if made.get(key) is not None]
    selection = made.get("selection")
    if isinstance(selection, Mapping):
        rows += [(f"selection: {key}", value) for key, value in selection.items()]
    if not rows:
        return ["Not recorded."]
    lines = _table(("", ""), rows)
    if "collection" not in made and "published" not in made:
        lines += ["", "The file of heads names no collection."]
    cautions = made.get("cautions")
    lines += [
        f"\nCaution: {plain(one)}" for one in (cautions if isinstance(cautions, list) else [])
    ]
    return lines


def _training(adapter: Path) -> list[str]:
    path = adapter / "headrank.json"
    card = read_json(path) if path.is_file() else {}
    made = card.get("provenance") or {}
    sets, options = made.get("training"), card.get("options") or {}
    known = (
        ("training sets", ", ".join(map(str, sets)) if isinstance(sets, list) else None),
        ("validation set", made.get("validation")),
        ("labelled queries", card.get("labelled_queries")),
        ("queries with pairs", card.get("training_queries")),
        ("pairs", card.get("pairs")),
        ("seed", card.get("seed")),
        # Loaded by peft alone it would change all of them.
        ("tokens that it changes", options.get("tokens")),
        ("epoch kept", card.get("best_epoch")),
    )
    rows = [(name, value) for name, value in known if value is not None]
    lines = _table(("", ""), rows) if rows else ["Not recorded."]
    best = card.get("validation_ndcg@10")
    if type(best) not in (int, float):
        return [*lines, "", "No validation is recorded."]
    before, count = _validated(adapter / "validation.csv")
    n = f"{count} held-out queries" if count else "held-out queries (their number is not recorded)"
    text = f"nDCG@10 on {n}: {best:.4f} with the adapter"
    text += "" if before is None else f", {before:.4f} without it"
    return [*lines, "", f"{text}. The epoch was chosen on these queries, so it flatters."]


def _validated(path: Path) -> tuple[float | None, int | None]:
    """Return nDCG@10 before training and the number of queries, as the training's table has it."""
    if not path.is_file():
        return None, None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        start = next((float(row["ndcg@10"]) for row in rows if int(row["epoch"]) == 0), None)
        counts = {int(row["queries"]) for row in rows}
    except (KeyError, TypeError, ValueError):
        return None, None
    return start, counts.pop() if len(counts) == 1 else None


def _given(results: Iterable[Mapping[str, object]]) -> list[str]:
    results = list(results)
    if not results:
        return ["None were given."]
    missing = {"collection": "not given", "queries": "not given", "note": ""}
    rows = [tuple(one.get(key, missing.get(key)) for key in _COLUMNS) for one in results]
    return _table(_COLUMNS, rows)


def _table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> list[str]:
    rows = [[plain(cell) for cell in row] for row in rows]
    header = [plain(cell) for cell in header]
    return [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows)]


def plain(value: object) -> str:
    """Return a value as text of one line that Markdown shows as it is."""
    text = " ".join(str(value).split())
    return "".join(f"\\{c}" if c in "\\|`*<>[]" else c for c in text if c.isprintable())
