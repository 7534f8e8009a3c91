"""Rankers on disk: everything but the base weights, which are named."""

from __future__ import annotations

import importlib
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headrank import __version__
from headrank.data.heads import HeadSet
from headrank.errors import HeadRankError
from headrank.heads.named import check_published, heads_missing, load_heads
from headrank.io.extras import need
from headrank.io.files import read_json, sha256, write_json
from headrank.io.folders import MANIFEST, RANKER, atomic_dir
from headrank.models.card import PROVENANCE
from headrank.models.decoder import DTYPES, LoadedModel, load_model
from headrank.models.safe_loading import load_config
from headrank.ranker.hub import cached_origin, fetch_ranker, is_folder, shared_base
from headrank.ranker.options import RankerKeywords
from headrank.ranker.origin import ADAPTER, CARD, HEADS, Origin, options_of
from headrank.ranker.truncated import cut_last_layer
from headrank.reading.layout import check_heads

if TYPE_CHECKING:
    from headrank.ranker.ranker import HeadRanker

_FORMAT = 1
_COMMIT = "commit-"  # how the digest of weights from the hub begins


def load_parts(
    path_or_id: str | os.PathLike,
    heads: HeadSet | str | os.PathLike | None,
    adapter: str | os.PathLike | None,
    asked: RankerKeywords,
    *,
    model: str | os.PathLike | None,
    merge: bool,
) -> dict[str, Any]:
    """Return the parts of a ranker: ``model``, ``heads``, ``options``, ``adapter``, ``revision``.

    Arguments and errors are those of ``HeadRanker.from_pretrained``.
    """
    card: dict = {}
    revision = asked.get("revision")
    fetched = fetch_ranker(path_or_id, revision)
    name = os.fspath(path_or_id)
    if fetched is not None:
        # The revision was the ranker's own; its card names that of the base model.
        path_or_id, revision = fetched, None
    if (Path(path_or_id) / CARD).is_file():
        card = read_card(Path(path_or_id))
        heads = heads if heads is not None or not card["heads"] else Path(path_or_id) / HEADS
        if adapter is None and card["adapter"]:
            adapter = Path(path_or_id) / ADAPTER
        if fetched is not None:
            base = model or shared_base(name, card)
        else:
            base = model or base_model(Path(path_or_id), card)
        revision = revision or card["model"].get("revision")
    elif model is not None:
        raise HeadRankError(
            f"{name}: no saved ranker ({CARD} is missing), so `model` has no meaning"
        )
    else:
        base = path_or_id
    selected = None if heads is None else load_heads(heads)
    folder = None if adapter is None else Path(adapter)
    if folder is not None and selected is None:
        selected = HeadSet.load(folder / HEADS)
    origin = Origin(card, selected, folder)
    options = options_of(origin, asked)
    if options.method == "icr":
        selected = None
    elif selected is None:
        raise heads_missing(options.method)
    check_heads(selected, options.prompt.layout)
    if folder is not None:
        _adapters().check_adapter(folder, options.prompt.layout, merge=merge)
    if selected is not None and "published" in selected.provenance:
        check_published(selected, base, load_config(base, revision))
    loaded = load_model(
        base,
        layers=None if selected is None else selected.deepest + 1,
        **origin.loading({**asked, "revision": revision}),
    )
    known = card.get("model", {}).get("digest")
    if known is not None and known != loaded.digest:
        raise HeadRankError(
            f"{name}: the ranker was saved on weights {known[:16]}, {base} has "
            f"{loaded.digest[:16]}; give its own base model with `model`"
        )
    if selected is not None:
        selected.check_model(loaded.layers, loaded.heads, loaded.digest)
    if folder is not None:
        _adapt(loaded, folder, selected, merge)
    cut_last_layer(loaded)
    return {
        "model": loaded,
        "heads": selected,
        "options": options,
        "adapter": folder,
        "revision": revision,
    }


def _adapt(model: LoadedModel, folder: Path, heads: HeadSet | None, merge: bool) -> None:
    """Put the adapter into the model."""
    _adapters().load_adapter(model, folder, heads)
    if merge:
        _adapters().merge_adapter(model)


def _adapters() -> ModuleType:
    """Return the module of adapters: peft is imported only where one is used.

    Raises:
        MissingPackage: peft is not installed.
    """
    need("align", "a ranker with an adapter", "peft")
    return importlib.import_module("headrank.align.adapter")


def save_ranker(ranker: HeadRanker, folder: str | os.PathLike) -> None:
    """Write the folder, whole or not at all; the base model is named, not copied.

    Raises:
        HeadRankError: the folder holds anything but a ranker that was saved there.
    """
    dtype = next(ranker.model.decoder.parameters()).dtype
    with atomic_dir(folder, RANKER) as target:
        if ranker.heads is not None:
            ranker.heads.save(target / HEADS)
        if ranker.adapter is not None:
            shutil.copytree(
                ranker.adapter, target / ADAPTER, ignore=shutil.ignore_patterns(MANIFEST)
            )
        files = sorted(p for p in target.rglob("*") if p.is_file())
        card = {
            "format": _FORMAT,
            "headrank": __version__,
            "model": {
                "path": _noted_base(ranker.model.name, folder),
                "origin": _origin(ranker.model.name),
                "revision": _commit(ranker),
                "digest": ranker.model.digest,
            },
            "dtype": next(name for name, known in DTYPES.items() if known == dtype),
            "options": asdict(ranker.options) | {"prompt": ranker.options.prompt.described()},
            "heads": ranker.heads is not None,
            "adapter": ranker.adapter is not None,
            "sha256": {p.relative_to(target).as_posix(): sha256(p) for p in files},
        }
        write_json(target / CARD, card)


def _commit(ranker: HeadRanker) -> str | None:
    """Return the commit of a hub's base model: a later one has other weights."""
    digest = ranker.model.digest
    return digest.removeprefix(_COMMIT) if digest.startswith(_COMMIT) else ranker.revision


def _noted_base(name: str, folder: str | os.PathLike) -> str:
    """Return how a card names the base model: a hub's repository, or a path from the ranker.

    An absolute path would mean nothing on another machine. One from the saved folder holds
    where both are moved together.
    """
    if not Path(name).is_dir():
        return name
    return Path(os.path.relpath(Path(name).resolve(), Path(folder).resolve())).as_posix()


def _origin(name: str) -> str | None:
    """Return the hub's repository and commit that a model's folder was fetched from."""
    if (known := cached_origin(Path(name))) is not None:
        return known
    path = Path(name) / PROVENANCE
    source = read_json(path).get("source", {}) if path.is_file() else {}
    if source.get("kind") != "huggingface":
        return None
    return f"{source.get('repository')} at {source.get('revision')}"


def base_model(folder: Path, card: dict) -> str:
    """Return the base model that a saved ranker's card names, as it can be loaded from here.

    Cards of earlier versions hold an absolute path.

    Raises:
        HeadRankError: the card names a folder that is not there.
    """
    name = card["model"]["path"]
    if not is_folder(name):
        return name
    path = Path(os.path.normpath(folder.resolve() / name))
    if not path.is_dir():
        origin = card["model"].get("origin")
        raise HeadRankError(
            f"{folder}: its base model is not at {path}; give its folder with `model` (on the "
            "command line: --base)" + (f"; it is {origin}" if origin else "")
        )
    return str(path)


def read_card(folder: Path) -> dict:
    """Return a saved ranker's card after hashing its files again.

    Raises:
        HeadRankError: another format, an entry that is missing or of another kind, or a file
            that is missing or changed.
    """
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or card.get("format") != _FORMAT:
        raise HeadRankError(
            f"{folder / CARD}: not a ranker of format {_FORMAT}; save the ranker again"
        )
    for name, kind in (("model", dict), ("sha256", dict), ("heads", bool), ("adapter", bool)):
        if not isinstance(card.get(name), kind):
            raise HeadRankError(f"{folder / CARD}: {name} is missing; save the ranker again")
    if not isinstance(card["model"].get("path"), str):
        raise HeadRankError(f"{folder / CARD}: model.path is missing; save the ranker again")
    for name, expected in card["sha256"].items():
        path = folder / name
        if not path.is_file() or sha256(path) != expected:
            raise HeadRankError(
                f"{path}: missing or changed since the ranker was saved; save it again"
            )
    return card
