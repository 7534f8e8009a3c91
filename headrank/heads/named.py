"""Head sets that others published, by name: ``qrhead-nq/llama-3.1-8b``.

The lists are facts (layer, head, source), kept as data in ``headrank/heads/published/``, one file
a family. They were selected under other prompts and other readings than ours, and none was
measured again here: they spare a first profile, they do not replace one.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.options.checks import check_path
from headrank.settings.words import hint

FOLDER = "published"
LIST = "`headrank info --published` lists them"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedHeads:
    """One published list of heads, and what is known of it.

    Attributes:
        name: ``family/model``.
        model: hub repository of the weights that the heads were selected on.
        revision: its commit; None where the source does not tell.
        model_type, layers, heads: the model's architecture, depth and query heads a layer.
        pairs: ``(layer, head)`` from 0, in the source's order, best first.
        method: of ours that the publisher reads the heads by; None if it is none.
        found: how the heads were selected.
        source: where the list stands: repository, commit, file.
        paper: that describes it, if one does.
        licence: of the source; None where it names none.
        verified: False where what the heads were selected on cannot be told.
        cautions: sentences that a user must know.
    """

    name: str
    model: str
    revision: str | None
    model_type: str
    layers: int
    heads: int
    pairs: tuple[tuple[int, int], ...]
    method: str | None
    found: str
    source: str
    paper: str | None
    licence: str | None
    verified: bool
    cautions: tuple[str, ...]

    @property
    def deepest(self) -> int:
        """Return the deepest layer with a head of the list."""
        return max(layer for layer, _ in self.pairs)

    def head_set(self) -> HeadSet:
        """Return the heads, with their origin as provenance. They carry no scores."""
        made = {key: value for key, value in asdict(self).items() if key not in ("pairs", "name")}
        made["cautions"] = list(self.cautions)
        heads = tuple(Head(layer, head) for layer, head in self.pairs)
        return HeadSet(heads, {"published": self.name, **made})


@functools.cache
def published_heads() -> dict[str, PublishedHeads]:
    """Return every published set by its name, sorted."""
    found = {}
    for file in files("headrank.heads").joinpath(FOLDER).iterdir():
        if file.name.endswith(".json"):
            family = json.loads(file.read_text("utf-8"))
            for short, entry in family["sets"].items():
                one = _published(f"{file.name.removesuffix('.json')}/{short}", family, entry)
                found[one.name] = one
    return dict(sorted(found.items()))


def _published(name: str, family: dict, entry: dict) -> PublishedHeads:
    """Return one set of a family's file."""
    at = f" at {family['commit']}" if family["commit"] else ""
    place = f", {entry['file']}" if "file" in entry else ""
    return PublishedHeads(
        name=name,
        pairs=tuple((layer, head) for layer, head in entry["pairs"]),
        found=entry.get("found", family["found"]),
        source=family["source"] + at + place,
        cautions=tuple(family["cautions"]),
        **{key: family[key] for key in ("paper", "licence", "verified", "method")},
        **{key: entry[key] for key in ("model", "revision", "model_type", "layers", "heads")},
    )


def load_heads(heads: HeadSet | str | os.PathLike) -> HeadSet:
    """Return heads as a user names them: a set, its JSON file, or a published name.

    A file of that name comes first.

    Raises:
        HeadRankError: neither a file nor a published name, or a file that holds no heads.
    """
    if isinstance(heads, HeadSet):
        return heads
    check_path("heads", heads, "a HeadSet, or the name of a published set")
    name = os.fspath(heads)
    known = published_heads()
    if name in known and not Path(name).exists():
        return known[name].head_set()
    if like_a_name(name) and not Path(name).expanduser().exists():
        raise HeadRankError(
            f"heads {name!r}: neither a file nor a published set{hint(name, known)}; {LIST}"
        )
    return HeadSet.load(heads)


def heads_missing(method: str) -> HeadRankError:
    """Return the error for a method whose heads were not named."""
    return HeadRankError(
        f"method {method} reads selected heads; give heads (make them with `headrank profile`, or "
        f"name a published set: {LIST}), an adapter that holds its heads, or method icr"
    )


def like_a_name(name: str) -> bool:
    """Return whether a text looks like ``family/model``, not like the path of a file."""
    family, slash, short = name.partition("/")
    plain = bool(slash and family.strip(".~") and short) and "/" not in short
    return plain and not short.endswith((".json", ".gz"))


def check_published(heads: HeadSet, where: str | os.PathLike, config: object) -> None:
    """Refuse published heads for a model of another shape; warn of what cannot be proved.

    Args:
        where: the model, as the user named it.
        config: its configuration, with ``model_type`` and the whole model's depth.

    Raises:
        HeadRankError: names both shapes.
    """
    made = heads.provenance
    if "published" not in made:
        return
    keys = ("model_type", "layers", "heads")
    own = (config.model_type, config.num_hidden_layers, config.num_attention_heads)
    theirs = tuple(made.get(key) for key in keys)
    if own != theirs:
        raise HeadRankError(
            f"heads {made['published']} are of {made.get('model')}, {_shape(*theirs)}; {where} is "
            f"{_shape(*own)}; take a set of this model ({LIST}), or profile its heads"
        )
    told = [] if made.get("verified") else ["what they were selected on is not verified"]
    if made.get("revision") is None:
        told.append(
            f"the revision of {made.get('model')} that they were selected on is not known, so "
            f"nothing shows that {where} has the same weights"
        )
    if told:
        logger.warning("heads %s: %s", made["published"], "; ".join(told))


def _shape(model_type: object, layers: object, heads: object) -> str:
    return f"{model_type} with {layers} layers of {heads} heads"
