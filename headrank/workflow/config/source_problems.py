"""What is wrong between sources, splits and shards of a config that has the right form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrank.sources.pypi import pinned_files
from headrank.workflow.config.causes import Unknown
from headrank.workflow.config.usage import expected_queries, list_tokens, read_sets


def sources(config: Mapping) -> Iterator[tuple[str, Mapping]]:
    """Yield ``(key, source)`` of every model, encoder and collection."""
    for group in ("models", "encoders", "collections"):
        for name, entry in config[group].items():
            yield f"{group}.{name}.source", entry["source"]


def archive_problems(config: Mapping) -> Iterator[str]:
    """One file name is one download, so all who use it must ask for the same bytes."""
    for name in config["models"].keys() & config["encoders"].keys():
        yield f"encoders.{name} has the name of a model; choose another"
    seen: dict[str, tuple[str, tuple[str, str]]] = {}
    for path, source in sources(config):
        for archive in pinned_files(source):
            pin = (archive["requirement"], archive["sha256"])
            first, known = seen.setdefault(archive["file"], (path, pin))
            if known != pin:
                yield (
                    f"{path} pins {archive['file']} as {pin[0]}, {pin[1]}, and {first} as "
                    f"{known[0]}, {known[1]}; one file has one pin"
                )


def split_problems(config: Mapping) -> Iterator[str]:
    """Yield what is wrong with the splits of ir_datasets sources, and sets of others."""
    for name, collection in config["collections"].items():
        path, source = f"collections.{name}", collection["source"]
        known = declared_splits(source)
        for split in collection["published"]:
            if known and split not in known:
                yield Unknown(f"{path}.published.{split}", split, known, f"{path}.source")
    for name, entry in config["sets"].items():
        source = config["collections"].get(entry["collection"], {}).get("source", {})
        known = declared_splits(source)
        if known and entry["split"] not in known:
            where = f"collections.{entry['collection']}.source"
            yield Unknown(f"sets.{name}.split", entry["split"], known, where)


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
