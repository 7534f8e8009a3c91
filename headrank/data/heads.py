"""Selected heads: which (layer, head) pairs are read, and why."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields

import numpy as np

from headrank.errors import HeadRankError
from headrank.io.files import read_json, write_json


@dataclass(frozen=True)
class Head:
    """One attention head; layer and head count from 0.

    Attributes:
        window: its sliding window in tokens; None for full attention. It saw every document of
            the profiled lists, else it would not be selected.
    """

    layer: int
    head: int
    score: float = 0.0
    discriminability: float = 0.0
    entropy: float = 0.0
    window: int | None = None


@dataclass(frozen=True)
class HeadSet:
    """Heads in the order of their selection score, best first, with the profile's provenance."""

    heads: tuple[Head, ...]
    provenance: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        pairs = [(head.layer, head.head) for head in self.heads]
        if not pairs:
            raise HeadRankError("a head set holds no head; select at least one")
        if len(set(pairs)) != len(pairs):
            twice = next(pair for pair in pairs if pairs.count(pair) > 1)
            raise HeadRankError(f"layer {twice[0]}, head {twice[1]} is selected twice; keep one")

    @property
    def deepest(self) -> int:
        """Return the deepest selected layer: nothing behind it needs computing."""
        return max(head.layer for head in self.heads)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Return ``(layer, head)`` pairs, best first."""
        return [(head.layer, head.head) for head in self.heads]

    def mask(self, layers: int, heads: int) -> np.ndarray:
        """Return ``[layers, heads]``, True where selected.

        Raises:
            HeadRankError: the set names a layer or head beyond the given shape.
        """
        self.check_model(layers, heads)
        mask = np.zeros((layers, heads), dtype=bool)
        for layer, head in self.pairs:
            mask[layer, head] = True
        return mask

    def check_model(self, layers: int, heads: int, digest: str | None = None) -> None:
        """Refuse heads that were selected for another model.

        Args:
            layers, heads: the model's shape.
            digest: SHA-256 of the model's weights, compared with the profile's if both are known;
                an empty one says that nobody hashed them, and would match any other.

        Raises:
            HeadRankError: names what differs and the remedy.
        """
        for layer, head in self.pairs:
            if layer >= layers or head >= heads:
                raise HeadRankError(
                    f"layer {layer}, head {head} is selected, but the reading has {layers} "
                    f"layers of {heads} heads; profile the heads of this model"
                )
        known = self.provenance.get("model_digest")
        if "" in (digest, known):
            owner = "this model" if digest == "" else "the model that the heads were selected on"
            raise HeadRankError(
                f"{owner} has no digest, so heads cannot be tied to its weights; convert them to "
                "safetensors and profile the heads again"
            )
        if digest and known and digest != known:
            raise HeadRankError(
                f"the heads were selected on weights {known[:16]}, these are {digest[:16]}; "
                "profile the heads of this model"
            )

    def save(self, path: str | os.PathLike) -> None:
        """Write JSON: provenance and ``[{layer, head, score, discriminability, entropy}]``.

        A head that slides also has its ``window``.
        """
        heads = [asdict(head) for head in self.heads]
        for entry in heads:
            if entry["window"] is None:
                del entry["window"]
        write_json(path, {"provenance": self.provenance, "heads": heads})

    @classmethod
    def load(cls, path: str | os.PathLike) -> HeadSet:
        """Return the head set of a JSON file; a bare list of heads is accepted too.

        Raises:
            HeadRankError: no such file, not JSON, or an entry without layer and head.
        """
        value = read_json(path)
        entries = value.get("heads") if isinstance(value, dict) else value
        if not isinstance(entries, list):
            raise HeadRankError(f"{path}: expected a list of heads, or an object with 'heads'")
        heads = []
        for number, entry in enumerate(entries):
            try:
                heads.append(_head(entry))
            except (KeyError, TypeError, ValueError, OverflowError):
                raise HeadRankError(
                    f"{path}: entry {number} is {entry!r}; each needs 'layer' and 'head', "
                    "whole numbers from 0, and 'window', if given, a whole number from 1"
                ) from None
        provenance = value.get("provenance") if isinstance(value, dict) else None
        try:
            return cls(tuple(heads), _provenance({} if provenance is None else provenance))
        except HeadRankError as error:
            raise HeadRankError(f"{path}: {error}") from None


def _head(entry: dict) -> Head:
    """Return the head of a JSON object."""
    layer, head = entry["layer"], entry["head"]
    # JSON's true is an int to Python.
    if not all(type(place) is int and place >= 0 for place in (layer, head)):
        raise ValueError
    window = entry.get("window")
    if window is not None and not (type(window) is int and window > 0):
        raise ValueError
    measures = ("score", "discriminability", "entropy")
    given = {name: float(entry[name]) for name in measures if name in entry}
    if not all(map(math.isfinite, given.values())):
        raise ValueError
    return Head(layer, head, **given, window=window)


def _provenance(value: object) -> dict:
    """Return the provenance of a file of heads, if later readers can use it.

    Raises:
        HeadRankError: it is no object, or what is read of it has another shape.
    """
    if not isinstance(value, dict):
        raise HeadRankError(
            f"'provenance' is {value!r:.60}, expected an object such as {{}}; remove it or profile "
            "the heads again"
        )
    for name, kind, shown in (
        ("prompt", dict, "an object"),
        ("model_digest", str, "a text"),
        ("model", str, "a text"),
        ("dtype", str, "a text"),
        ("method", str, "a text"),
    ):
        if value.get(name) is not None and not isinstance(value[name], kind):
            raise HeadRankError(
                f"'provenance.{name}' is {value[name]!r:.60}, expected {shown}; remove it or "
                "profile the heads again"
            )
    from headrank.options.prompt import PromptOptions

    known = [field.name for field in fields(PromptOptions)]
    if unknown := set(value.get("prompt") or {}) - set(known):
        raise HeadRankError(
            f"'provenance.prompt' has the field {min(unknown)!r}; allowed: {', '.join(known)}"
        )
    return value


def every_head(layers: int, heads: int) -> HeadSet:
    """Return all heads of a model, as ICR uses them."""
    return HeadSet(tuple(Head(layer, head) for layer in range(layers) for head in range(heads)))


def top(scores: np.ndarray, count: int) -> Sequence[tuple[int, int]]:
    """Return the ``count`` best ``(layer, head)`` of ``[layers, heads]``; ties by layer, head."""
    flat = np.argsort(-scores, axis=None, kind="stable")[:count]
    return [(int(i) // scores.shape[1], int(i) % scores.shape[1]) for i in flat]


def by_layer(heads: HeadSet) -> dict[int, list[int]]:
    """Return ``{layer: [head, ...]}``, both ascending."""
    chosen: dict[int, list[int]] = {}
    for layer, head in sorted(heads.pairs):
        chosen.setdefault(layer, []).append(head)
    return chosen
