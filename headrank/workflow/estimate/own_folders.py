"""What the user's own folders tell of an experiment's size before they are imported."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from headrank.collections.layout import CORPUS, file_of, read_documents
from headrank.collections.splits import splits
from headrank.io.texts import byte_lines, local_path

# Documents whose length is taken for that of all, and characters of a token: English texts of
# seven collections have 4.2 to 5.4, by SmolLM2's tokenizer. Fewer make an upper bound.
SAMPLE, CHARACTERS = 1000, 4


class Corpus(NamedTuple):
    """Documents of a corpus, and the mean tokens of one, guessed from its first documents."""

    documents: int
    tokens: float


def own_corpora(config: Mapping) -> dict[str, Corpus]:
    """Return what the corpora of the user's folders hold, by collection.

    Raises:
        HeadRankError: a damaged file.
    """
    found = {}
    for name, folder in _folders(config):
        path = file_of(folder, CORPUS)
        if path.is_file():
            sample = itertools.islice(read_documents(path), SAMPLE)
            lengths = [len(document.contents) for _, document in sample]
            count = sum(1 for _, line in byte_lines(path) if line.strip())
            if lengths:
                found[name] = Corpus(count, sum(lengths) / len(lengths) / CHARACTERS)
    return found


def own_queries(config: Mapping) -> dict[str, int]:
    """Return how many queries sets take of the user's folders, at most."""
    known = {name: splits(folder) for name, folder in _folders(config)}
    found = {}
    for name, entry in config["sets"].items():
        own = known.get(entry["collection"])
        if own is not None and entry["split"] in own.judged:
            left = max(0, own.judged[entry["split"]] - entry["skip"])
            found[name] = left if entry["take"] is None else min(left, entry["take"])
    return found


def _folders(config: Mapping) -> Iterator[tuple[str, Path]]:
    for name, entry in config["collections"].items():
        if entry["source"]["kind"] == "local":
            yield name, Path(local_path(entry["source"]["path"]))
