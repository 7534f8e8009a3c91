"""Rankers on disk: a folder with everything but the base model's weights.

``ranker.json`` names the base model, its digest and the options; ``heads.json`` holds the
heads, ``adapter/`` the adapter as alignment wrote it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from headrank import __version__
from headrank.errors import HeadRankError
from headrank.files import read_json, sha256, write_json
from headrank.folders import MANIFEST, RANKER, atomic_dir
from headrank.heads import HeadSet
from headrank.layout import check_heads
from headrank.methods import Fold
from headrank.models import DTYPES, PROVENANCE, LoadedModel, load_model
from headrank.prompt import PromptOptions
from headrank.ranker import BUDGETS, HeadRanker, RankerOptions, check_budget
from headrank.store import DocumentStore
from headrank.truncated import cut_last_layer, merge_adapter

CARD = "ranker.json"
HEADS = "heads.json"
ADAPTER = "adapter"
_FORMAT = 1


def load_ranker(
    path_or_id: str | os.PathLike,
    heads: HeadSet | str | os.PathLike | None,
    adapter: str | os.PathLike | None,
    asked: Mapping[str, Any],
    *,
    dtype: str | None,
    device: str,
    merge: bool,
    revision: str | None,
    model: str | os.PathLike | None,
    store: DocumentStore | None = None,
) -> HeadRanker:
    """Return what ``HeadRanker.from_pretrained`` does; its arguments are described there.

    Args:
        asked: the arguments that decide the options, None where nothing is asked.
    """
    card: dict = {}
    if (Path(path_or_id) / CARD).is_file():
        card = _read_card(Path(path_or_id))
        heads = heads if heads is not None or not card["heads"] else Path(path_or_id) / HEADS
        if adapter is None and card["adapter"]:
            adapter = Path(path_or_id) / ADAPTER
        base = model or base_model(Path(path_or_id), card)
        revision = revision or card["model"]["revision"]
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
    origin = Origin(card, selected, folder)
    options = _options(origin, asked)
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
        dtype=dtype or origin.dtype() or "float32",
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
    return HeadRanker(loaded, selected, options, folder, revision, store=store)


def _adapt(model: LoadedModel, folder: Path, heads: HeadSet | None, merge: bool) -> None:
    """Put the adapter into the model; peft is imported only where one is used."""
    from headrank.align.adapter import load_adapter

    load_adapter(model, folder, heads)
    if merge:
        merge_adapter(model)


@dataclass(frozen=True)
class Origin:
    """What a saved ranker, heads and an adapter tell of how they were made.

    The heads' profile goes before the adapter's training: training may cut documents shorter
    than reading does.

    Attributes:
        card: the saved ranker's; empty if there is none.
        heads: None if none are known; those of the adapter then tell as much.
    """

    card: Mapping[str, Any]
    heads: HeadSet | None = None
    adapter: Path | None = None

    @classmethod
    def of(
        cls,
        path: str | os.PathLike,
        heads: HeadSet | str | os.PathLike | None = None,
        adapter: str | os.PathLike | None = None,
    ) -> Origin:
        """Return what is known at these paths, as ``HeadRanker.from_pretrained`` takes them."""
        card = read_json(Path(path) / CARD) if (Path(path) / CARD).is_file() else {}
        if isinstance(heads, (str, os.PathLike)):
            heads = HeadSet.load(heads)
        return cls(card, heads, None if adapter is None else Path(adapter))

    def prompt(self) -> PromptOptions | None:
        """Return the prompt that the heads are read with; None if nothing names one."""
        saved = self.card.get("options", {})
        if "prompt" in saved:
            return _prompt(saved["prompt"], CARD)
        for where, provenance in self._made():
            if "prompt" in provenance:
                return _prompt(provenance["prompt"], where)
        return None

    def dtype(self) -> str | None:
        """Return the type of the weights that the heads were selected in; None if not known.

        Raises:
            HeadRankError: it is not one that a model can be loaded in.
        """
        found = [("the saved ranker", self.card), *self._made()]
        for where, provenance in found:
            if provenance.get("dtype") is not None:
                if provenance["dtype"] not in DTYPES:
                    raise HeadRankError(
                        f"{where}: dtype is {provenance['dtype']!r}; allowed: {', '.join(DTYPES)}. "
                        "Correct it, or give dtype (--dtype)"
                    )
                return provenance["dtype"]
        return None

    def _made(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield whose provenance it is, and the provenance: of the heads, of the adapter."""
        heads = self.heads
        if heads is None and self.adapter is not None and (self.adapter / HEADS).is_file():
            heads = HeadSet.load(self.adapter / HEADS)
        if heads is not None:
            yield "the heads' provenance", provenance_of(heads)
        if self.adapter is not None and (self.adapter / "headrank.json").is_file():
            card = read_json(self.adapter / "headrank.json")
            yield str(self.adapter / "headrank.json"), card if isinstance(card, dict) else {}


def provenance_of(heads: HeadSet) -> Mapping[str, Any]:
    """Return how heads were made.

    Raises:
        HeadRankError: it is not an object.
    """
    if not isinstance(heads.provenance, Mapping):
        raise HeadRankError(
            f"the heads' provenance is a {type(heads.provenance).__name__}; it must be an object, "
            "as `headrank profile` writes it, or be left out"
        )
    return heads.provenance


def _prompt(value: object, where: str) -> PromptOptions:
    """Return the prompt of a file.

    Raises:
        HeadRankError: it is not an object of known fields.
    """
    return PromptOptions(**_known(value, where))


def _known(value: object, where: str) -> Mapping[str, Any]:
    """Return a mapping whose keys are all fields of a prompt.

    Raises:
        HeadRankError: as `_prompt`.
    """
    known = [field.name for field in fields(PromptOptions)]
    if not isinstance(value, Mapping) or set(value) - set(known):
        raise HeadRankError(
            f"{where}: the prompt is {str(value)[:80]}; expected an object with fields of "
            f"{', '.join(known)}"
        )
    return value


def _options(origin: Origin, asked: Mapping[str, Any]) -> RankerOptions:
    """Return the options: what is given, else what was saved, else what the heads know."""
    saved, given = origin.card.get("options", {}), asked["prompt"]
    prompt, fit = given, False
    if not isinstance(given, PromptOptions):
        prompt = origin.prompt() or PromptOptions()
        fit = saved.get("fit", True)
        if given is not None:
            prompt = prompt.changed(**_known(given, "prompt"))
            fit = fit and "document_tokens" not in given
            if fit and "overlong" in given:
                # Stop or cut: it is said what happens to a list that does not fit whole.
                prompt, fit = replace(prompt, document_tokens=None), False
    budget = asked["document_tokens"]
    if budget is not None:
        if budget not in BUDGETS:
            prompt = replace(prompt, document_tokens=check_budget(budget))
        fit = budget == "fit"
    fit = fit and prompt.document_tokens is not None
    fold, method = asked["fold"], asked["method"]
    if fold is None and method is None and "fold" in saved:
        fold = Fold(**saved["fold"])
    own = {
        name: saved.get(name) if asked[name] is None else asked[name]
        for name in ("method", "order", "seed", "window")
    }
    return RankerOptions(
        prompt=prompt, fold=fold, fit=fit, **{k: v for k, v in own.items() if v is not None}
    )


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
    if not name.startswith(("../", "./", "/")) and name != "..":
        return name
    path = Path(os.path.normpath(folder.resolve() / name))
    if not path.is_dir():
        origin = card["model"].get("origin")
        raise HeadRankError(
            f"{folder}: its base model is not at {path}; give its folder with `model` (on the "
            "command line: --base)" + (f"; it is {origin}" if origin else "")
        )
    return str(path)


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
