"""A model's card: the source and the SHA-256 of each of its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import try_to_load_from_cache

from headrank.errors import HeadRankError
from headrank.io.files import read_json, sha256, write_json
from headrank.io.folders import MANIFEST

if TYPE_CHECKING:
    import os


PROVENANCE = "headrank.json"


def record_model(folder: str | os.PathLike, source: dict) -> None:
    """Write ``headrank.json``: the source and the SHA-256 of every weights and tokenizer file."""
    folder = Path(folder)
    apart = (PROVENANCE, MANIFEST)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in apart)
    hashes = {p.relative_to(folder).as_posix(): sha256(p) for p in files}
    write_json(folder / PROVENANCE, {"source": source, "sha256": hashes})


def verify_model(folder: str | os.PathLike) -> dict:
    """Return the model's provenance after hashing every file of it again.

    Raises:
        HeadRankError: a file is missing or its bytes changed.
    """
    folder = Path(folder)
    provenance = read_json(folder / PROVENANCE)
    for name, expected in provenance["sha256"].items():
        path = folder / name
        if not path.is_file():
            raise HeadRankError(f"{path}: missing; delete {folder} and convert the model again")
        if sha256(path) != expected:
            raise HeadRankError(
                f"{path}: SHA-256 differs from the one noted when the model was converted; "
                f"delete {folder} and convert it again"
            )
    return provenance


def weights_digest(path: str | os.PathLike, revision: str | None) -> str:
    """Return the SHA-256 noted at conversion, or of the weights files themselves.

    A hub repository's is its commit, which names the bytes of its files.
    """
    folder = Path(path)
    if not folder.is_dir():
        # Loaded by now, so the cache holds it, in a folder that the commit names.
        cached = try_to_load_from_cache(str(path), "config.json", revision=revision)
        if not isinstance(cached, str):
            raise HeadRankError(
                f"{path}: the hub's cache does not tell the commit of this model, so heads cannot "
                "be tied to its weights; give a folder that holds it"
            )
        return f"commit-{Path(cached).parent.name}"
    if (folder / PROVENANCE).is_file():
        hashes = read_json(folder / PROVENANCE)["sha256"]
        noted = [h for name, h in sorted(hashes.items()) if name.endswith(".safetensors")]
    else:
        noted = [sha256(path) for path in sorted(folder.glob("*.safetensors"))]
    if not noted:
        # An empty digest would equal that of any other model without one.
        raise HeadRankError(
            f"{folder}: {PROVENANCE} notes no safetensors, so heads cannot be tied to these "
            "weights; delete the folder and convert the model again"
        )
    return "+".join(noted)
