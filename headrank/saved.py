"""Rankers on disk: a folder with everything but the base model's weights.

``ranker.json`` names the base model, its digest and the options; ``heads.json`` holds the
heads, ``adapter/`` the adapter as alignment wrote it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path

from headrank import __version__
from headrank.errors import HeadRankError
from headrank.files import atomic_dir, read_json, sha256, write_json
from headrank.heads import HeadSet
from headrank.layout import check_heads
from headrank.methods import Fold
from headrank.models import DTYPES, LoadedModel, load_model
from headrank.prompt import PromptOptions
from headrank.ranker import HeadRanker, RankerOptions
from headrank.store import DocumentStore
from headrank.truncated import cut_last_layer, merge_adapter

CARD = "ranker.json"
HEADS = "heads.json"
ADAPTER = "adapter"
_FORMAT = 1


def load_ranker(
    path_or_id: str | os.PathLike,
    *,
    heads: HeadSet | str | os.PathLike | None = None,
    adapter: str | os.PathLike | None = None,
    method: str | None = None,
    prompt: PromptOptions | None = None,
    order: str | None = None,
    seed: int | None = None,
    window: int | None = None,
    fold: Fold | None = None,
    dtype: str | None = None,
    device: str = "cpu",
    merge: bool = True,
    revision: str | None = None,
    model: str | os.PathLike | None = None,
    store: DocumentStore | None = None,
) -> HeadRanker:
    """Return what ``HeadRanker.from_pretrained`` does; its arguments are described there."""
    card: dict = {}
    if (Path(path_or_id) / CARD).is_file():
        card = _read_card(Path(path_or_id))
        heads = heads if heads is not None or not card["heads"] else Path(path_or_id) / HEADS
        if adapter is None and card["adapter"]:
            adapter = Path(path_or_id) / ADAPTER
        base, revision = model or card["model"]["path"], revision or card["model"]["revision"]
    elif model is not None:
        raise HeadRankError(
            f"{path_or_id}: no saved ranker ({CARD} is missing), so `model` has no meaning"
        )
    else:
        base = path_or_id
    selected = HeadSet.load(heads) if isinstance(heads, (str, os.PathLike)) else heads
    folder = None if adapter is None else Path(adapter)
    if folder is not None and selected is None:
        selected = HeadSet.load(folder / HEADS)
    options = _options(card, selected, folder, method, prompt, order, seed, window, fold)
    if options.method == "icr":
        selected = None
    elif selected is None:
        raise HeadRankError(
            f"method {options.method} reads selected heads; give heads (make them with "
            "`headrank profile`), an adapter that holds its heads, or method icr"
        )
    check_heads(selected, options.prompt.layout)
    if folder is not None:
        from headrank.align.adapter import check_adapter

        check_adapter(folder, options.prompt.layout)
    loaded = load_model(
        base,
        dtype=dtype or card.get("dtype", "float32"),
        device=device,
        layers=None if selected is None else selected.deepest + 1,
        revision=revision,
    )
    known = card.get("model", {}).get("digest")
    if known is not None and known != loaded.digest:
        raise HeadRankError(
            f"{path_or_id}: the ranker was saved on weights {known[:16]}, {base} has "
            f"{loaded.digest[:16]}; give its own base model with `model`"
        )
    if selected is not None:
        selected.check_model(loaded.layers, loaded.heads, loaded.digest)
    if folder is not None:
        _adapt(loaded, folder, selected, merge)
    cut_last_layer(loaded)
    return HeadRanker(loaded, selected, options, folder, revision, store)


def _adapt(model: LoadedModel, folder: Path, heads: HeadSet | None, merge: bool) -> None:
    """Put the adapter into the model; peft is imported only where one is used."""
    from headrank.align.adapter import load_adapter

    load_adapter(model, folder, heads)
    if merge:
        merge_adapter(model)


def _options(
    card: dict,
    heads: HeadSet | None,
    adapter: Path | None,
    method: str | None,
    prompt: PromptOptions | None,
    order: str | None,
    seed: int | None,
    window: int | None,
    fold: Fold | None,
) -> RankerOptions:
    """Return the options: what is given, else what was saved, else what the heads know."""
    saved = card.get("options", {})
    if prompt is None:
        prompt = _prompt(saved, heads, adapter)
    if fold is None and method is None and "fold" in saved:
        fold = Fold(**saved["fold"])
    given = {"method": method, "order": order, "seed": seed, "window": window}
    own = {name: saved.get(name) if value is None else value for name, value in given.items()}
    return RankerOptions(
        prompt=prompt or PromptOptions(),
        fold=fold,
        **{k: v for k, v in own.items() if v is not None},
    )


def _prompt(saved: dict, heads: HeadSet | None, adapter: Path | None) -> PromptOptions | None:
    """Return the prompt of a saved ranker, of the heads' profile or of the adapter's training.

    The profile's goes first: training may cut documents shorter than reading does.
    """
    if "prompt" in saved:
        return PromptOptions(**saved["prompt"])
    if heads is None and adapter is not None:
        heads = HeadSet.load(adapter / HEADS)
    if heads is not None and "prompt" in heads.provenance:
        return PromptOptions(**heads.provenance["prompt"])
    if adapter is not None and (adapter / "headrank.json").is_file():
        return PromptOptions(**read_json(adapter / "headrank.json")["prompt"])
    return None


def known_prompt(
    path: str | os.PathLike,
    heads: str | os.PathLike | None,
    adapter: str | os.PathLike | None,
) -> PromptOptions | None:
    """Return the prompt that ``load_ranker`` takes by default; None if nothing names one."""
    card = read_json(Path(path) / CARD) if (Path(path) / CARD).is_file() else {}
    selected = None if heads is None else HeadSet.load(heads)
    return _prompt(card.get("options", {}), selected, None if adapter is None else Path(adapter))


def save_ranker(ranker: HeadRanker, folder: str | os.PathLike) -> None:
    """Write the folder, whole or not at all; the base model is named, not copied."""
    base = Path(ranker.model.name)
    dtype = next(ranker.model.decoder.parameters()).dtype
    with atomic_dir(folder) as target:
        if ranker.heads is not None:
            ranker.heads.save(target / HEADS)
        if ranker.adapter is not None:
            shutil.copytree(ranker.adapter, target / ADAPTER)
        files = sorted(p for p in target.rglob("*") if p.is_file())
        card = {
            "format": _FORMAT,
            "headrank": __version__,
            "model": {
                "path": str(base.resolve() if base.is_dir() else ranker.model.name),
                "revision": ranker.revision,
                "digest": ranker.model.digest,
            },
            "dtype": next(name for name, known in DTYPES.items() if known == dtype),
            "options": asdict(ranker.options) | {"prompt": ranker.options.prompt.described()},
            "heads": ranker.heads is not None,
            "adapter": ranker.adapter is not None,
            "sha256": {p.relative_to(target).as_posix(): sha256(p) for p in files},
        }
        write_json(target / CARD, card)


def _read_card(folder: Path) -> dict:
    """Return a saved ranker's card after hashing its files again.

    Raises:
        HeadRankError: another format, or a file that is missing or changed.
    """
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or card.get("format") != _FORMAT:
        raise HeadRankError(
            f"{folder / CARD}: not a ranker of format {_FORMAT}; save the ranker again"
        )
    for name, expected in card["sha256"].items():
        path = folder / name
        if not path.is_file() or sha256(path) != expected:
            raise HeadRankError(
                f"{path}: missing or changed since the ranker was saved; save it again"
            )
    return card
