"""LoRA adapters up to the deepest selected head, and what they belong to."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from headrank.align.options import tokens_of
from headrank.data.heads import HeadSet
from headrank.errors import HeadRankError
from headrank.io.extras import missing
from headrank.io.files import check_sha256, read_json, sha256, write_json
from headrank.models.decoder import LoadedModel
from headrank.models.query_adapter import for_queries
from headrank.reading.layout import check_same, layout_of, other_layout

try:
    from peft import LoraConfig, PeftModel, get_peft_model
    from peft.tuners.lora import LoraLayer
except ModuleNotFoundError as error:
    if error.name != "peft":
        raise
    raise missing("align", "headrank.align.adapter", "peft") from None

CARD = "headrank.json"
HEADS = "heads.json"
PROJECTIONS = {
    "query-key": r"self_attn\.(q|k)_proj",
    "attention": r"self_attn\.(q|k|v|o)_proj",
    "all": r"(self_attn\.(q|k|v|o)|mlp\.(gate|up|down))_proj",
}
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def add_adapter(
    model: LoadedModel,
    heads: HeadSet,
    *,
    rank: int,
    alpha: int,
    dropout: float,
    seed: int,
    projections: str = "query-key",
) -> PeftModel:
    """Return the model wrapped with a fresh adapter.

    Layers 0 to the deepest selected one are adapted: later ones never reach a selected
    head, and of that one only queries and keys do. The decoder inside ``model`` is changed
    in place and stays the one to read.
    """
    heads.check_model(model.layers, model.heads, model.digest)
    _check_plain(model)
    # peft draws the A matrices from the global generator; B starts at zero, so the first
    # reading equals the frozen model's.
    torch.manual_seed(seed)
    below = "|".join(str(layer) for layer in range(heads.deepest))
    last = rf"{heads.deepest}\.{PROJECTIONS['query-key']}"
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        # A pattern, since peft's layers_to_transform does not find the layers of a decoder
        # that stands without its language-model head.
        target_modules=rf"layers\.(({below})\.{PROJECTIONS[projections]}|{last})",
        bias="none",
    )
    with _without_renaming():
        wrapped = get_peft_model(model.decoder, config)
    # peft notes the path it was loaded from, which differs between machines.
    config.base_model_name_or_path = Path(model.name).name
    return wrapped


def leave_documents(model: LoadedModel) -> None:
    """Let the adapter in a model change the query's tokens alone, where documents are read apart.

    See `headrank.models.query_adapter`.
    """
    model.query_adapter = True
    for module in list(model.decoder.modules()):
        if isinstance(module, LoraLayer):
            for_queries(module, module.get_base_layer())


@contextmanager
def _without_renaming() -> Iterator[None]:
    """Hide that peft asks for an attribute that transformers renamed: a user cannot mend it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def _check_plain(model: LoadedModel) -> None:
    """Refuse a model that carries an adapter: a second one would be mixed with it."""
    if hasattr(model.decoder, "peft_config"):
        raise HeadRankError(
            f"{model.name}: the model already carries an adapter; load the model again"
        )


def save_adapter(wrapped: PeftModel, folder: str | os.PathLike, heads: HeadSet, card: dict) -> None:
    """Write peft's own files, the heads, and a card that says what the adapter belongs to."""
    # "auto" would look the base model up on the hub, to see whether embeddings changed.
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    # peft adds a template of a README that says nothing about this adapter.
    (Path(folder) / "README.md").unlink(missing_ok=True)
    heads.save(Path(folder) / HEADS)
    hashes = {name: sha256(Path(folder) / name) for name in (CONFIG, WEIGHTS, HEADS)}
    write_json(Path(folder) / CARD, {**card, "sha256": hashes})


def load_adapter(
    model: LoadedModel, folder: str | os.PathLike, heads: HeadSet | None = None
) -> HeadSet:
    """Put a saved adapter into the model's decoder; return the heads it was trained for.

    Args:
        heads: the heads about to be read, if they are known; they must be the adapter's.

    Raises:
        HeadRankError: no adapter there, a damaged one, another base model, other heads, or
            a model that carries an adapter already.
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS, HEADS):
        if not (folder / name).is_file():
            raise HeadRankError(f"{folder}: no {name}; give the folder that alignment wrote")
    _check_plain(model)
    card = read_json(folder / CARD)
    if not (isinstance(card, dict) and {"model_digest", "sha256"} <= card.keys()):
        raise HeadRankError(f"{folder / CARD}: not the card of an adapter; align again")
    for name, expected in card["sha256"].items():
        check_sha256(folder / name, expected, "align again")
    trained = HeadSet.load(folder / HEADS)
    if card["model_digest"] != model.digest:
        raise HeadRankError(
            f"{folder}: the adapter was trained on weights {card['model_digest'][:16]}, the model "
            f"{model.name} has {model.digest[:16]}; load its own base model or align this one"
        )
    trained.check_model(model.layers, model.heads)
    if heads is not None and set(heads.pairs) != set(trained.pairs):
        raise HeadRankError(
            f"{folder}: the adapter was trained for heads {sorted(trained.pairs)}, but "
            f"{sorted(heads.pairs)} are to be read; use the adapter's heads.json or align again"
        )
    with _without_renaming():
        # peft would take the first GPU that it sees, wherever the model is.
        PeftModel.from_pretrained(
            model.decoder, folder, torch_device=str(model.device)
        ).eval().requires_grad_(False)
    if tokens_of(card) == "query":
        leave_documents(model)
    return trained


def check_adapter(folder: str | os.PathLike, layout: str, *, merge: bool = False) -> None:
    """Refuse an adapter that was trained in another layout of the prompt.

    Args:
        merge: it is to be added to the model's weights.

    Raises:
        HeadRankError: names both layouts; or it changes the query's tokens alone, and is to be
            merged.
    """
    path = Path(folder) / CARD
    card = read_json(path) if path.is_file() else {}
    if not isinstance(card, dict):
        return
    if merge and tokens_of(card) == "query":
        raise _unmergeable(folder)
    if "prompt" in card:
        made = layout_of(card["prompt"])
        if card.get("options", {}).get("both_layouts") and layout == other_layout(made):
            return
        check_same(made, layout, "adapter was trained", "align in it")


def _unmergeable(name: object) -> HeadRankError:
    """Return the error of an adapter whose model also reads documents without it."""
    return HeadRankError(
        f"{name}: the adapter was trained with tokens: query, so documents are read without it and "
        "it cannot be merged into weights that read both; leave merge (--merge) out"
    )


def adapter_state(wrapped: PeftModel) -> dict[str, torch.Tensor]:
    """Return copies of the trainable tensors by name."""
    return {
        name: parameter.detach().clone()
        for name, parameter in wrapped.named_parameters()
        if parameter.requires_grad
    }


def restore_state(wrapped: PeftModel, state: dict[str, torch.Tensor]) -> None:
    """Copy trainable tensors back into the model."""
    own = dict(wrapped.named_parameters())
    with torch.no_grad():
        for name, values in state.items():
            own[name].copy_(values)


@contextmanager
def frozen(wrapped: PeftModel) -> Iterator[None]:
    """Switch the adapter off inside the block: the frozen model's reading."""
    with wrapped.disable_adapter(), torch.no_grad():
        yield


def save_tensors(path: str | os.PathLike, tensors: dict[str, torch.Tensor]) -> None:
    """Write named tensors as safetensors (no pickle)."""
    save_file({name: t.contiguous() for name, t in tensors.items()}, path)


def load_tensors(path: str | os.PathLike) -> dict[str, torch.Tensor]:
    """Return the named tensors of a safetensors file."""
    return load_file(path)


def merge_adapter(model: LoadedModel) -> None:
    """Add the weights of the model's adapter to its own, in place, and drop the adapter.

    Raises:
        HeadRankError: it changes the query's tokens alone.
    """
    if model.query_adapter:
        raise _unmergeable(model.name)
    for name, module in list(model.decoder.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(model.decoder.get_submodule(parent), child, module.get_base_layer())
