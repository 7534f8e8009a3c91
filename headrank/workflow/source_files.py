"""Files of an experiment's collections, first stages and sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrank.collections.beir import source_files
from headrank.collections.layout import file_of
from headrank.io.folders import visible_files
from headrank.io.texts import local_path
from headrank.report.names import printed
from headrank.sources.pypi import pinned_files
from headrank.workflow.config.shown import first_stage_names
from headrank.workflow.config.usage import read_sets, shards
from headrank.workflow.declared import Declared

COLLECTION_FILES = ("corpus.jsonl", "queries.jsonl", "qrels.tsv")
OPTIONAL_FILES = ("candidates.run", "excluded.tsv")
INDEX_FILES = (
    "index.json",
    "documents.json",
    "vocab.index.json",
    "params.index.json",
    *(f"{part}.csc.index.npy" for part in ("data", "indices", "indptr")),
)
SET_FILES = ("queries.jsonl", "documents.jsonl", "candidates.run", "qrels.tsv", "set.json")


class SourceFiles(Declared):
    """What an experiment is made from: models, collections, first stages and sets of queries.

    Args:
        config: checked and filled in by ``headrank.workflow.config.checks.configure``.
        results: folder of the results.
        stored: whether files lie in an object store. It holds what rules declare and nothing
            else, so a folder whose files are not known beforehand is one output there.
        exists: tells whether a user's file exists; an object store is asked by it.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        results: str,
        *,
        stored: bool = False,
        exists: Callable[[str], bool] = lambda path: Path(path).is_file(),
    ) -> None:
        super().__init__(config)
        self.results = results
        self.stored = stored
        self.exists = exists
        self.pins = {
            archive["file"]: archive
            for entry in [*self.weights.values(), *self.collections.values()]
            for archive in pinned_files(entry["source"])
        }
        self.shards = {name: shards(config, name) for name in read_sets(config)}
        # An object store is asked here: an input function may not.
        self._optional = {
            name: [path for path in self._optional_files(entry["source"]["path"]) if exists(path)]
            for name, entry in self.collections.items()
            if entry["source"]["kind"] == "local"
        }
        # A method keyed bm25 may keep the order of an imported run.
        named = printed(self.declared, self.report["names"])
        self.report["names"] = first_stage_names(config, self.own_run) | named

    def part_of(self, folder: str, *files: str) -> list[str]:
        """Return what a rule asks for of a made folder: files, of a store the folder itself."""
        return [folder] if self.stored else [f"{folder}/{file}" for file in files]

    def model_part(self, model: str) -> list[str]:
        """Return what a job asks for of a model or encoder."""
        return self.part_of(f"resources/models/{model}", "headrank.json")

    def encoder_part(self, wildcards: Any) -> list[str]:
        """Return what a job asks for of a method's encoder."""
        return self.model_part(self.declared[wildcards.method]["encoder"])

    def collection_part(self, collection: str, *files: str) -> list[str]:
        """Return what a job asks for of a collection."""
        return self.part_of(f"resources/collections/{collection}", *files)

    def origin(self, source: Mapping[str, Any]) -> list[str]:
        """Return the files a model or collection is made from; none if from the network.

        A folder's own time stays when a file in it is overwritten, so its files are named.
        Without any the folder itself is, and Snakemake tells that it is missing. An object
        store can be asked for a whole folder alone.
        """
        if source["kind"] != "local":
            return [f"resources/archives/{archive['file']}" for archive in pinned_files(source)]
        if self.stored:
            return [source["path"]]
        folder = Path(local_path(source["path"]))
        # What tools keep beside the weights (.git, .cache) makes no model.
        return sorted(map(str, visible_files(folder).values())) or [str(folder)]

    def model_origin(self, wildcards: Any) -> list[str]:
        """Return the files that a model or encoder is made from."""
        return self.origin(self.weights[wildcards.model]["source"])

    def collection_origin(self, wildcards: Any) -> list[str]:
        """Return the files a collection is made from: the archive, or the user's own."""
        source = self.collections[wildcards.collection]["source"]
        if source["kind"] != "local":
            return self.origin(source)
        folder = local_path(source["path"])
        if self.stored:  # its folders cannot be listed
            own = [f"{folder}/{name}" for name in COLLECTION_FILES]
        else:
            own = source_files(folder)
        return own + self._optional[wildcards.collection]

    def _optional_files(self, folder: str) -> list[str]:
        if self.stored:
            return [f"{folder}/{name}" for name in OPTIONAL_FILES]
        return [str(file_of(local_path(folder), name)) for name in OPTIONAL_FILES]

    def own_run(self, collection: str) -> bool:
        """Return whether a user's folder brings candidates of its own."""
        return any("candidates.run" in Path(p).name for p in self._optional.get(collection, []))

    def imported(self, collection: str, split: str) -> bool:
        """Return whether a split's first stage was made elsewhere."""
        entry = self.collections[collection]
        if split in entry["runs"] or entry["first_stage"] == "own":
            return True
        return entry["first_stage"] == "auto" and self.own_run(collection)

    def index_files(self, collection: str) -> list[str]:
        """Return the files of a collection's BM25 index, its card first."""
        return [f"resources/indexes/{collection}/{file}" for file in INDEX_FILES]

    def first_stage_source(self, wildcards: Any) -> dict[str, Any]:
        """Return a split's imported run, or the BM25 index; none if the collection has its own."""
        name, split = wildcards.collection, wildcards.split
        if split in self.collections[name]["runs"]:
            return {"run": local_path(self.collections[name]["runs"][split])}
        if self.imported(name, split):
            return {}
        return {"index": self.index_files(name)}

    # Sets

    def set_files(self, name: str) -> dict[str, str]:
        """Return a set's files: ``queries``, ``documents``, ``candidates``, ``qrels``, ``set``."""
        return {file.split(".")[0]: f"{self.results}/sets/{name}/{file}" for file in SET_FILES}

    def lists_of(self, name: str) -> list[str]:
        """Return the files that a set's lists are made from: a corrected judgment reads nothing."""
        files = self.set_files(name)
        return [files[part] for part in ("queries", "documents", "candidates")]

    def files_of_set(self, wildcards: Any) -> list[str]:
        """Return the files that the lists of a wildcard's set are made from."""
        return self.lists_of(wildcards.set)

    def qrels_of(self, names: Sequence[str]) -> list[str]:
        """Return the judgments of some sets."""
        return [self.set_files(name)["qrels"] for name in names]

    def collection_of_set(self, wildcards: Any) -> list[str]:
        """Return what a set asks for of its collection."""
        collection = self.declared_sets[wildcards.set]["collection"]
        return self.collection_part(collection, *COLLECTION_FILES, "collection.json")

    def first_stage_run(self, wildcards: Any) -> str:
        """Return the first stage's run that a set of queries is sampled from."""
        chosen = self.declared_sets[wildcards.set]
        return f"{self.results}/retrieval/{chosen['collection']}/{chosen['split']}.run"
