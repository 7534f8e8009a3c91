"""Head profiles: how well each head separates grades, and how spread its attention is.

Score of a head: ``Disc(h) - lambda * H(p^h) / log n``, averaged over the profiling queries
(HeadRank, arXiv 2604.17237). The paper's Disc is not public; the forms here are [ours],
but for ``contrastive`` (CoRe, 2510.02219) and ``mass`` (QRHead, 2506.09944).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from headrank.data.candidates import CandidateList
from headrank.data.heads import Head, HeadSet, top
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.heads.criteria import CRITERIA, entropy, graded_margins
from headrank.io.arrays import ArrayFile, save_arrays
from headrank.options.fold import MAX_LOGIT
from headrank.options.selection import SelectionOptions, selection
from headrank.reading.readings import ListReading, ReadingFile
from headrank.reading.sliding_window import KEY


@dataclass(frozen=True)
class Profile:
    """Per-query values of every head, from which any selection is a fold.

    Attributes:
        queries: profiling query ids.
        discriminability: ``{criterion: [queries, layers, heads]}``.
        entropy: ``[queries, layers, heads]`` in 0..1: entropy of a head's shares over the
            candidates, divided by the logarithm of their number.
        provenance: what the readings were made with, the windows of sliding layers included.
        max_logit_entropy: the same of the softmax of each head's largest logits, for criterion
            ``max-logit``; None if the readings do not hold them.
        blind: ``[layers, heads]``, True where a document of a profiled list lies out of the
            head's sliding window: never selected. None if every layer has full attention.
    """

    queries: tuple[str, ...]
    discriminability: dict[str, np.ndarray]
    entropy: np.ndarray
    provenance: dict
    blind: np.ndarray | None = None
    max_logit_entropy: np.ndarray | None = None

    def entropy_of(self, criterion: str) -> np.ndarray:
        """Return ``[queries, layers, heads]``: the entropy of what a criterion looks at.

        Raises:
            HeadRankError: the readings do not hold it.
        """
        if criterion != MAX_LOGIT:
            return self.entropy
        if self.max_logit_entropy is None:
            raise HeadRankError(
                "the profile's readings hold no largest logits, which criterion max-logit selects "
                "by; profile with max_logits=True (in the workflow: reading.max_logits: true)"
            )
        return self.max_logit_entropy

    def scores(self, options: SelectionOptions, queries: np.ndarray | None = None) -> np.ndarray:
        """Return ``[layers, heads]`` selection scores, averaged over the (given) queries.

        Heads that may not be selected have -inf: blind ones, and layers not allowed.
        """
        entropies = self.entropy_of(options.criterion)
        disc = self.discriminability[options.criterion]
        values = disc - options.entropy_weight * entropies
        means = (values if queries is None else values[queries]).mean(axis=0)
        if options.layers is not None:
            first, last = options.layers
            outside = np.ones(means.shape[0], dtype=bool)
            outside[first : last + 1] = False
            means[outside] = -np.inf
        if self.blind is not None:
            means[self.blind] = -np.inf
        return means

    def select(self, options: SelectionOptions | str = "headrank", **changes: Any) -> HeadSet:
        """Return the best heads, best first: as `headrank profile` selects them by default.

        Args:
            options: a method's name (``headrank``, ``core``, ``qrhead``: see
                `headrank.options.selection.SELECTIONS`), or options of one's own. A method is
                noted with the heads, and rankers then read them by it unless told another.
            changes: fields of ``SelectionOptions`` in place of those, as ``heads=16``.

        Raises:
            HeadRankError: an unknown method or field, or more heads asked for than the allowed
                layers have, or than see every document of the profiled lists.
        """
        noted = {"method": options} if isinstance(options, str) else {}
        if isinstance(options, SelectionOptions):
            options = replace(options, **changes) if changes else options
        else:
            options = selection(options, **changes)
        scores = self.scores(options)
        available = int(np.isfinite(scores).sum())
        if options.heads > available:
            blind = 0 if self.blind is None else int(self.blind.sum())
            raise HeadRankError(
                f"{options.heads} heads asked for, {available} are available in the allowed layers"
                + (
                    f"; {blind} of {self.blind.size} heads have a sliding window that misses a "
                    "document of the profiled lists; select fewer heads, or profile shorter lists "
                    "(fewer documents, a smaller document_tokens)"
                    if blind
                    else ""
                )
            )
        disc = self.discriminability[options.criterion].mean(axis=0)
        entropy = self.entropy_of(options.criterion).mean(axis=0)
        windows = self.provenance.get(KEY) or [None] * len(scores)
        heads = tuple(
            Head(
                layer,
                head,
                *(float(a[layer, head]) for a in (scores, disc, entropy)),
                window=windows[layer],
            )
            for layer, head in top(scores, options.heads)
        )
        provenance = {
            **self.provenance,
            **noted,
            "selection": asdict(options),
            "profiling_queries": len(self.queries),
        }
        return HeadSet(heads, provenance)

    def stability(self, options: SelectionOptions, resamples: int, seed: int) -> np.ndarray:
        """Return ``[layers, heads]``: share of bootstrap samples of the queries that select it."""
        generator = np.random.default_rng(seed)
        counts = np.zeros(self.entropy.shape[1:])
        for _ in range(resamples):
            drawn = generator.integers(len(self.queries), size=len(self.queries))
            for pair in top(self.scores(options, drawn), options.heads):
                counts[pair] += 1
        return counts / resamples

    def table(self) -> pd.DataFrame:
        """Return one row a head: mean and standard error of each criterion and of entropy.

        ``window`` is the head's sliding window in tokens, empty for full attention;
        ``sees_all`` whether it reaches every document of the profiled lists.
        """
        _, layers, heads = self.entropy.shape
        columns: dict[str, np.ndarray] = {
            "layer": np.repeat(np.arange(layers), heads),
            "head": np.tile(np.arange(heads), layers),
        }
        root = np.sqrt(len(self.queries))
        for name, values in {**self.discriminability, "entropy": self.entropy}.items():
            columns[name] = values.mean(axis=0).ravel()
            spread = values.std(axis=0, ddof=1) if len(self.queries) > 1 else values[0] * np.nan
            columns[f"{name}_se"] = spread.ravel() / root
        windows = self.provenance.get(KEY) or [None] * layers
        columns["window"] = pd.array(np.repeat(np.array(windows, dtype=object), heads), "Int64")
        blind = np.zeros((layers, heads), bool) if self.blind is None else self.blind
        columns["sees_all"] = ~blind.ravel()
        return pd.DataFrame(columns)

    def save(self, path: str | os.PathLike) -> None:
        """Write ``.npz``, whole or not at all."""
        meta = {
            "queries": list(self.queries),
            "criteria": list(self.discriminability),
            "provenance": self.provenance,
        }
        arrays = {f"disc.{name}": values for name, values in self.discriminability.items()}
        optional = {"blind": self.blind, "max_logit_entropy": self.max_logit_entropy}
        found = {name: values for name, values in optional.items() if values is not None}
        save_arrays(path, meta, {**arrays, "entropy": self.entropy, **found})

    @classmethod
    def load(cls, path: str | os.PathLike) -> Profile:
        """Return a saved profile.

        Raises:
            HeadRankError: missing or damaged.
        """
        arrays = ArrayFile(path, "profile", "profile again")
        meta = arrays.meta
        disc = {name: arrays[f"disc.{name}"] for name in meta["criteria"]}
        optional = {
            name: arrays[name] for name in ("blind", "max_logit_entropy") if name in arrays.names
        }
        return cls(tuple(meta["queries"]), disc, arrays["entropy"], meta["provenance"], **optional)


def profile_heads(
    shards: Sequence[ReadingFile], qrels: Qrels, temperature: float = 0.001
) -> Profile:
    """Return the profile of every head over files of readings; see `profile_readings`."""
    readings = (reading for shard in shards for reading in shard)
    return profile_readings(readings, qrels, shards[0].meta["provenance"], temperature)


def profile_readings(
    readings: Iterable[ListReading],
    qrels: Qrels,
    provenance: Mapping[str, object],
    temperature: float = 0.001,
) -> Profile:
    """Return the profile of every head over the readings of labelled queries.

    A candidate without a judgment counts as grade 0. Queries whose candidates all have
    one grade separate nothing and are left out.

    Args:
        provenance: what the readings were made with.
        temperature: of the contrastive form on raw masses (CoRe uses .001 to .1).

    Raises:
        HeadRankError: fewer than two queries have two grades among their candidates.
    """
    queries, entropies, missed, logits = [], [], [], []
    values: dict[str, list[np.ndarray]] = {name: [] for name in CRITERIA}
    for reading in readings:
        grades = np.array(qrels.grades_of(reading.query_id, reading.doc_ids))
        if not _separable(grades):
            continue
        queries.append(reading.query_id)
        mass = reading.query.astype(np.float64)
        entropies.append(entropy(mass))
        if reading.max_logits is not None:
            logits.append(_by_max_logits(reading.max_logits, grades))
        hidden = reading.unseen()
        if hidden is not None:
            missed.append(hidden.any(axis=-1))
        for name, criterion in CRITERIA.items():
            values[name].append(criterion(mass, grades, temperature))
    _check_enough(queries)
    disc = {name: np.stack(arrays) for name, arrays in values.items()}
    logit_entropy = None
    if len(logits) == len(queries):
        disc[MAX_LOGIT] = np.stack([one for one, _ in logits])
        logit_entropy = np.stack([one for _, one in logits])
    return Profile(
        tuple(queries),
        disc,
        np.stack(entropies),
        {**provenance, "temperature": temperature},
        np.any(missed, axis=0) if missed else None,
        logit_entropy,
    )


def profiled(lists: Iterable[CandidateList], qrels: Qrels) -> list[CandidateList]:
    """Return the lists that a profile depends on: those with candidates of two grades.

    Raises:
        HeadRankError: fewer than two are.
    """
    found = [one for one in lists if _separable(qrels.grades_of(one.query_id, one.doc_ids))]
    _check_enough(found)
    return found


def _separable(grades: Sequence[int] | np.ndarray) -> bool:
    return len(set(np.asarray(grades).tolist())) > 1


def _check_enough(queries: Sequence[object]) -> None:
    if len(queries) < 2:
        raise HeadRankError(
            f"{'only 1' if queries else 'no'} profiling query has candidates of two different "
            "grades, and a standard error needs 2; give queries with judged relevant and other "
            "documents among their candidates"
        )


def _by_max_logits(logits: np.ndarray, grades: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``[layers, heads]``: how far largest logits separate grades, and their entropy.

    A head that sees no token of a document is blind there, and never selected: 0 stands for it.
    """
    blind = ~np.isfinite(logits).all(axis=-1, keepdims=True)
    seen = np.where(blind, 0.0, logits.astype(np.float64))
    mass = np.exp(seen - seen.max(axis=-1, keepdims=True))
    return graded_margins(seen, grades), entropy(mass)
