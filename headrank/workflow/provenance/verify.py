"""Results hashed again: does each still have the bytes that the manifest notes?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from headrank.errors import HeadRankError
from headrank.io.arrays import ArrayFile
from headrank.io.files import digest, json_sha256, read_json, sha256
from headrank.workflow.provenance.manifest import FORMAT, NAME, result_files
from headrank.workflow.provenance.originals import note_problems
from headrank.workflow.provenance.run_metadata import SUFFIX, load_metadata

# A folder that holds weights or a collection says so with such a card.
CARDS = {"models": "headrank.json", "collections": "collection.json"}
WEIGHTS = "adapter_model.safetensors"


@dataclass
class Verification:
    """What hashing again found.

    Attributes:
        checked: files whose bytes were hashed.
        missing: listed files that are gone.
        changed: what is not as noted: one message each.
        unlisted: files that the manifest does not know. Of a partial manifest, written in an
            object store, it is no fault: other files were not there to be listed.
        absent: models, collections and files of the user's that are not on this machine, so
            that they could not be hashed.
    """

    checked: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    partial: bool = False

    @property
    def sound(self) -> bool:
        """Return whether every listed file is as noted and no other lies there."""
        return not (self.missing or self.changed or (self.unlisted and not self.partial))


def verify_results(
    folder: str | os.PathLike, resources: str | os.PathLike | None = None
) -> Verification:
    """Return what a results' folder holds against its manifest and its own cards.

    Hashed are all files of the manifest; besides, adapters against their cards, runs against
    their metadata, readings' provenance against model and adapter, the files of models and
    collections against the cards that the manifest quotes, and the user's own files that the
    config names against those that the results were made from.

    Args:
        folder: of the results; it may have been moved or renamed.
        resources: folder of ``models`` and ``collections``; None means the one beside ``folder``.

    Raises:
        HeadRankError: no manifest, or one of another format.
    """
    folder = Path(folder)
    known = _manifest(folder)
    found = Verification(partial=known.get("partial", False))
    listed = _inside(known["results"] | known["others"])
    for name, expected in listed.items():
        _compare(found, folder / name, expected, "the manifest")
    for path in result_files(folder):
        if path.relative_to(folder).as_posix() not in listed:
            found.unlisted.append(str(path))
    if json_sha256(known["config"]) != known["config_sha256"]:
        found.changed.append(f"{folder / NAME}: its config has another digest than it notes")
    digests = {name: _weights_digest(card) for name, card in known["models"].items()}
    checks = (
        _adapter_problems(folder, digests),
        _reading_problems(folder, digests),
        _run_problems(folder),
    )
    found.changed += [problem for part in checks for problem in part]
    _resources(found, known, folder.parent / "resources" if resources is None else Path(resources))
    for changed, message in note_problems(known.get("originals", {}), folder.parent):
        (found.changed if changed else found.absent).append(message)
    return found


def _manifest(folder: Path) -> dict:
    path = folder / NAME
    if not path.is_file():
        raise HeadRankError(
            f"{path}: no such file; give the results' folder of a finished run, or finish it with "
            "`snakemake --cores all`"
        )
    known = read_json(path)
    if not isinstance(known, dict) or known.get("format") != FORMAT:
        have = known.get("format") if isinstance(known, dict) else None
        raise HeadRankError(
            f"{path}: manifest format {have!r}, expected {FORMAT}; write it anew with "
            "`snakemake --cores all --forcerun manifest`"
        )
    return known


def _inside(files: Mapping[str, str]) -> dict[str, str]:
    """Return the files by their path inside the results' folder, whatever that was called.

    Raises:
        HeadRankError: a path that leaves the folder: the manifest is not one of ours.
    """
    inside = {}
    for name, expected in files.items():
        parts = PurePosixPath(name).parts
        if len(parts) < 2 or ".." in parts or parts[0] == "/":
            raise HeadRankError(
                f"{NAME}: {name!r} is no path inside a results' folder; write the manifest anew"
            )
        inside["/".join(parts[1:])] = expected
    return inside


def _compare(found: Verification, path: Path, expected: str, source: str) -> None:
    """Hash one file and note what is wrong with it."""
    if not path.is_file():
        found.missing.append(str(path))
        return
    found.checked += 1
    have = sha256(path)
    if have != expected:
        found.changed.append(f"{path}: SHA-256 is {have[:16]}, {source} notes {expected[:16]}")


def _weights_digest(card: Mapping) -> str:
    """Return a model's digest as readings and adapters note it."""
    hashes = card["sha256"]
    return "+".join(h for name, h in sorted(hashes.items()) if name.endswith(".safetensors"))


def _adapter_problems(folder: Path, digests: Mapping[str, str]) -> Iterator[str]:
    """Yield where an adapter is not what its card says, or belongs to other weights."""
    for path in sorted(folder.glob("adapters/*/*/headrank.json")):
        card = read_json(path)
        for name, expected in card["sha256"].items():
            file = path.parent / name
            if file.is_file() and sha256(file) != expected:
                yield f"{file}: SHA-256 is not the one in the adapter's card; align again"
        if card["model_digest"] != digests.get(path.parts[-3], card["model_digest"]):
            yield f"{path}: trained on other weights than the manifest notes; align again"


def _reading_problems(folder: Path, digests: Mapping[str, str]) -> Iterator[str]:
    """Yield readings that another model or adapter made."""
    adapters: dict[Path, str] = {}
    for path in sorted(folder.glob("readings/*/*/*/*/*.npz")):
        try:
            made = ArrayFile(path, "reading", "read again").meta["provenance"]
        except HeadRankError as error:
            yield str(error)
            continue
        model, adapter = path.parts[-4], path.parts[-3]
        if made["model_digest"] != digests.get(model, made["model_digest"]):
            yield f"{path}: read from other weights than the manifest notes; read again"
        weights = folder / "adapters" / model / adapter / WEIGHTS
        if made["adapter_digest"] is not None and weights.is_file():
            if weights not in adapters:
                adapters[weights] = digest(weights)
            if made["adapter_digest"] != adapters[weights]:
                yield f"{path}: read with another adapter than {weights}; read again"


def _run_problems(folder: Path) -> Iterator[str]:
    """Yield runs that their own metadata does not describe."""
    for path in sorted(folder.glob(f"runs/**/*{SUFFIX}")):
        try:
            noted = load_metadata(path)["headrank"]
        except HeadRankError as error:
            yield str(error)
            continue
        run = Path(str(path).removesuffix(SUFFIX) + ".run")
        if run.is_file() and sha256(run) != noted["sha256"]:
            yield f"{run}: SHA-256 is not the one in {path.name}"


def _resources(found: Verification, known: Mapping, resources: Path) -> None:
    """Hash the files of models and collections against the cards in the manifest."""
    for kind, card_name in CARDS.items():
        for name, card in known[kind].items():
            folder = resources / kind / name
            if not (folder / card_name).is_file():
                found.absent.append(f"{folder} ({kind[:-1]} {name})")
                continue
            if read_json(folder / card_name) != card:
                found.changed.append(f"{folder / card_name}: not the card that the manifest quotes")
            for file, expected in card["sha256"].items():
                _compare(found, folder / file, expected, card_name)
