"""Keys of a config that say how results are tested, shown, timed and estimated."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from headrank.options.generative import Protocol
from headrank.settings.classes import Rules, Settings
from headrank.settings.kinds import (
    AboveZero,
    Flag,
    FromZero,
    Inside,
    Positive,
    Says,
    absent,
    many,
    mapping,
    number_or_null,
    text,
    text_or_null,
    whole,
)
from headrank.workflow.config.source_keys import Name, Order

Sentence = text("a sentence", least=1)
ExperimentMethod = text("a method of the experiment")


class Evaluation(Settings):
    """Measures and tests."""

    measures: many(
        text(
            "nDCG@K, P@K, R@K, judged@K, AP, RR",
            pattern="^((nDCG|P|R|judged)@[1-9][0-9]*|AP|RR)$",
        ),
        "a list of one or more different measures",
        least=1,
    ) = Field(default_factory=lambda: ["nDCG@10", "AP", "RR", "R@20"])
    """Measures, of `nDCG@K`, `P@K`, `R@K`, `judged@K`, `AP` and `RR`. Every judged query counts,
    one without an answer as 0.
    """
    main: text("one of evaluation.measures") = "nDCG@10"
    """The measure of the main table and of the tests."""
    orders: many(Order, "a list of one or more different orders", least=1) = Field(
        default_factory=lambda: ["shuffled"]
    )
    """Prompt orders of the declared family of comparisons."""
    comparisons: many(
        many(ExperimentMethod, "two different methods of the experiment", least=2, most=2),
        "a list of different pairs [method, compared with]",
    ) = Field(default_factory=list)
    """Pairs `[method, compared with]`: each in every set, order and model, all corrected as one
    family (Holm).
    """
    resamples: whole(1000) = 100000
    """Resamples of the paired permutation test."""
    confidence: Inside = 0.95
    """Confidence of the BCa intervals."""


class Report(Settings):
    """What tables and figures show."""

    set: text_or_null("an evaluation set of the experiment, or null for the first") = None
    """The set of the figures of heads; `null` takes the first of `experiment.sets`."""
    method: text_or_null("a method of selected heads, or null for no figures of heads") = None
    """The method whose heads are drawn; `null` draws none."""
    panels: many(Name, "a list of different methods of kind attention") = Field(
        default_factory=list
    )
    """Methods of kind `attention` that are compared along the prompt, and (those of selected heads)
    by the number and the depth of heads.
    """
    baseline: text_or_null("a method of the experiment, or null for no marks") = None
    """The method against which the main table marks the others; `evaluation.comparisons` must hold
    it with them.
    """
    alpha: Inside = 0.05
    """Level of the marks, after Holm's correction."""
    claims: text_or_null("a method of the experiment with an adapter, or null for the first") = None
    """The method that the paper's claims are judged on (`snakemake claims`); `null` takes the first
    of the experiment with an adapter.
    """
    controls: many(ExperimentMethod, "a list of different methods") = Field(default_factory=list)
    """Methods that count as controls and are never marked as the best."""
    names: mapping(text("a name"), text("a printed name", least=1)) = Field(default_factory=dict)
    """Printed names of methods, sets, groups, orders and models."""
    groups: mapping(
        Name, many(Name, "a list of two or more different evaluation sets", least=2)
    ) = Field(default_factory=dict)
    """`{NAME: [sets]}`: sets of the experiment that are read and tested one by one, but shown in
    the main tables as one column, the mean of their means. The group counts as one in the averages
    of the tables and in the claims' analogues. Such a column has no marks.
    """
    notes: Annotated[list[text("a sentence", least=1)], Says("a list of sentences")] = Field(
        default_factory=list
    )
    """Sentences below the main table."""
    learning_curve: many(Name, "a list of different methods with an adapter") = Field(
        default_factory=list
    )
    """Methods with an adapter that differ in `queries`: points of the learning curve."""
    ablations: Flag = False
    """`true` makes the ablations' table and figure in a run without a target, too, and counts them
    in `snakemake estimate`; `false` leaves them to `snakemake ablations`.
    """
    latency: Flag = False
    """`true` times each method in a run without a target, too; `false` leaves that to `snakemake
    timing`.
    """
    resamples: whole(10) = 200
    """Bootstrap samples of the profiling queries, for the stability of the selected heads."""


class Ablation(Settings):
    """One setting that is changed, alone."""

    method: Name
    """A declared method of kind `attention`; an aligned one must be in `experiment.methods`."""
    key: text("a key of the method, selection.KEY or alignment.KEY", least=1)
    """What is changed: a key of the method (`aggregation`), of its heads
    (`selection.entropy_weight`) or of its training (`alignment.pairs.hardness`).
    """
    values: many(Any, "a list of one or more different values", least=1)
    """Values beside the method's own; where the key holds a mapping (`alignment.pairs`), mappings
    that change keys of it together.
    """


class Latency(Settings):
    """How methods are timed."""

    lists: Positive = 4
    """Lists that are timed."""
    rounds: Positive = 3
    """Measured runs of each list; their median counts."""
    generative: many(Protocol, "a list of different protocols") = Field(default_factory=list)
    """Protocols that are timed though the experiment has no method of theirs; on a CPU far slower
    than the rest.
    """
    window: whole(2) = 20
    """Window of `listwise`, timed so."""
    stride: Positive = 10
    """Stride of `listwise`, timed so; at most the window."""

    def rules(self) -> Rules:
        """Yield a stride that leaves gaps."""
        if self.stride > self.window:
            yield (
                "stride",
                f"is {self.stride}; allowed: at most latency.window, {self.window} (documents "
                "between windows would never be ranked)",
            )


class AssumedModel(Settings):
    """Shape and speed of a model that is not here yet."""

    layers: Positive
    """Its layers."""
    heads: Positive
    """Heads of a layer."""
    tokens_per_second: AboveZero
    """Tokens that it reads a second."""
    parameters: AboveZero = absent()
    """Its parameters, embeddings included: two bytes each, or four where they are dequantised."""


class Download(Settings):
    """What is fetched."""

    gigabytes: FromZero
    """Gigabytes that are fetched."""
    unpacked: FromZero = absent()
    """Gigabytes that ir_datasets unpacks it to."""


class Estimate(Settings):
    """What the estimate of costs assumes."""

    models: mapping(text("a name"), AssumedModel) = Field(default_factory=dict)
    """`{NAME: {layers, heads, tokens_per_second, parameters}}`: shape and speed of models that are
    not here yet, and of cross-encoders, whose hours are unknown without. `parameters`, embeddings
    included, give the size of the weights: two bytes each, or four where they are dequantised.
    Without them it is unknown until they are here.
    """
    downloads: mapping(text("a name"), Download) = Field(default_factory=dict)
    """`{NAME: {gigabytes, unpacked}}`: what a model, encoder or collection fetches, and what
    ir_datasets unpacks it to (by default as much as `document_bytes` gives). The size of files that
    are here goes first. Without an entry, a model of the hub fetches its weights, a collection of
    ir_datasets `download_bytes` a document, and an archive of the Python package index is unknown.
    """
    source: text_or_null("a sentence that says where estimate.models is from", least=1) = None
    """A sentence that says where `models` are from; needed with them, printed below the table."""
    document_tokens: number_or_null("a number above 0, or null for the prompt's budget", gt=0) = (
        None
    )
    """Mean tokens of a document where no reading was recorded; `null` guesses them from a folder
    of your own (4 characters a token), or else takes the prompt's budget, an upper bound.
    """
    marker_tokens: FromZero = 8
    """Tokens around each document."""
    prompt_tokens: FromZero = 100
    """Tokens of the rest of a prompt."""
    document_bytes: AboveZero = 600
    """Disk of one document in the corpus (InsuranceQA: 625)."""
    index_bytes: AboveZero = 600
    """Disk of one document in the index (Semanlink: 582)."""
    download_bytes: AboveZero = 200
    """Fetched for one document of ir_datasets (197 over the BEIR corpora of config/paper.yaml)."""
    adapter_megabytes: AboveZero = 12
    """One adapter of rank 8 on queries and keys, scaled by a recipe's rank and projections
    (Qwen3-4B in 36 layers: 11.8).
    """
    documents_per_second: AboveZero = 7000
    """Documents indexed a second, where no speed was recorded."""
    new_tokens_per_second: AboveZero = 30
    """Steps a second of a generative method of which no run was recorded, about those of
    transformers' `generate` [ours]; each step writes a token of every list of its `batch`.
    """
    seconds_per_run: AboveZero = 2
    """Seconds of one ranking folded from readings."""
