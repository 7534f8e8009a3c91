"""Whether a threshold that is fixed on one collection holds on others.

python -m benchmarks.threshold resources/models/smollm2 --heads examples/smollm2-heads.json \
    --collections resources/collections/insuranceqa resources/collections/semanlink \
    resources/collections/lee --encoder resources/models/minilm

Every scale is fitted on validation lists of the first collection: a logistic and an isotonic curve
from score to probability, and the threshold of the best F1. All three are then used as they are on
test lists of every collection.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize, special

from benchmarks.command import arguments, write
from headrank.collections.collection import (
    iter_documents,
    load_exclusions,
    load_qrels,
    load_queries,
)
from headrank.collections.query_sets import build_set
from headrank.data.candidates import CandidateList, Passage
from headrank.data.trec import Qrels
from headrank.first_stage.bm25 import Bm25Index

SCALES = ("score", "share", "none")
NONE = "None of these passages answers the query."
_NONE_ID = "none of these"


@dataclass(frozen=True)
class Sample:
    """What is drawn from a collection.

    Attributes:
        lists: at most, those whose candidates hold a relevant passage and another one.
        candidates: of BM25's top, a list.
    """

    lists: int = 50
    candidates: int = 20
    seed: int = 13


@dataclass(frozen=True)
class Scored:
    """Passages of one sample on one scale.

    Attributes:
        values: scores, ``[passages]``.
        relevant: a grade above 0, ``[passages]``.
        groups: number of each one's list, ``[passages]``.
    """

    values: np.ndarray
    relevant: np.ndarray
    groups: np.ndarray


def sampled(
    folder: str | os.PathLike, splits: Sequence[str], sample: Sample
) -> Iterator[tuple[tuple[CandidateList, ...], Qrels]]:
    """Yield lists and judgments of each split, from BM25's top of the collection."""
    texts = ((one.doc_id, one.contents) for one in iter_documents(folder))
    index, excluded = Bm25Index.build(texts, progress=False), load_exclusions(folder)
    for split in splits:
        queries = load_queries(folder, split)
        judged = sorted(load_qrels(folder).only(queries).grades)
        run = index.search(
            {name: queries[name].text for name in judged},
            sample.candidates,
            excluded,
            progress=False,
        )
        chosen = build_set(
            folder,
            run,
            split=split,
            candidates=sample.candidates,
            pool="rerankable",
            take=sample.lists,
            seed=sample.seed,
        )
        yield chosen.lists, chosen.qrels


def on_scales(ranker, lists: Sequence[CandidateList], qrels: Qrels) -> dict[str, Scored]:
    """Return a sample's passages on every scale of attention.

    ``score`` is the ranker's own, a logarithm of mass; ``share`` that of the passage's share in the
    mass of its list; ``none`` that of its ratio to the mass of a passage which says that none of
    them answers, read in the same list at a seeded place.
    """
    found: dict[str, list[np.ndarray]] = {scale: [] for scale in SCALES}
    for one in lists:
        own = _values(ranker, one)
        found["score"].append(own)
        found["share"].append(own - special.logsumexp(own))
        more = CandidateList(
            one.query_id,
            one.query,
            (*one.doc_ids, _NONE_ID),
            (*one.passages, Passage("", NONE)),
        )
        with_none = _values(ranker, more)
        found["none"].append(with_none[:-1] - with_none[-1])
    return {scale: gathered(values, lists, qrels) for scale, values in found.items()}


def gathered(values: Sequence[np.ndarray], lists: Sequence[CandidateList], qrels: Qrels) -> Scored:
    """Return the passages of all lists as one sample."""
    grades = [qrels.grades_of(one.query_id, one.doc_ids) for one in lists]
    sizes = [len(one.doc_ids) for one in lists]
    return Scored(
        np.concatenate(values),
        np.concatenate([np.array(own) > 0 for own in grades]),
        np.repeat(np.arange(len(lists)), sizes),
    )


def _values(ranker, candidates: CandidateList) -> np.ndarray:
    """Return the scores of a list in its own order, ``[docs]``."""
    (ranking,) = ranker.rerank_lists([candidates])
    scores = np.empty(len(ranking))
    scores[[one.index for one in ranking]] = [one.score for one in ranking]
    return scores


def logistic(values: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Return slope and intercept of the likeliest logistic curve (Platt, 1999, unsmoothed)."""
    mean, spread = values.mean(), values.std() or 1.0

    def loss(parameters: np.ndarray) -> float:
        logits = parameters[0] * (values - mean) / spread + parameters[1]
        return float(
            np.where(relevant, -special.log_expit(logits), -special.log_expit(-logits)).sum()
        )

    slope, intercept = optimize.minimize(loss, [1.0, 0.0], method="BFGS").x
    return np.array([slope / spread, intercept - slope * mean / spread])


def best_threshold(values: np.ndarray, relevant: np.ndarray) -> float:
    """Return the score of the best F1 when all passages from it upwards are kept."""
    order = np.argsort(-values, kind="stable")
    hits = np.cumsum(relevant[order])
    f1 = 2 * hits / (np.arange(1, len(values) + 1) + relevant.sum())
    return float(values[order[int(f1.argmax())]])


def kept(values: np.ndarray, relevant: np.ndarray, threshold: float) -> tuple[float, float, float]:
    """Return precision, recall and F1 of what scores at least the threshold."""
    chosen = values >= threshold
    hits = float((chosen & relevant).sum())
    return (
        hits / chosen.sum() if chosen.any() else float("nan"),
        hits / relevant.sum(),
        2 * hits / (chosen.sum() + relevant.sum()),
    )


def calibration_error(probabilities: np.ndarray, relevant: np.ndarray, bins: int = 10) -> float:
    """Return the expected calibration error over bins of equally many passages.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015, with bins of equal mass.
    """
    parts = np.array_split(np.argsort(probabilities, kind="stable"), bins)
    gaps = [abs(probabilities[own].mean() - relevant[own].mean()) * len(own) for own in parts]
    return float(sum(gaps) / len(relevant))


@dataclass(frozen=True)
class Fit:
    """What validation lists fix: a threshold and two curves from score to probability."""

    threshold: float
    slope: np.ndarray
    steps: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, scored: Scored) -> Fit:
        """Return the fit on a sample."""
        order = np.argsort(scored.values, kind="stable")
        rising = optimize.isotonic_regression(scored.relevant[order].astype(float)).x
        return cls(
            best_threshold(scored.values, scored.relevant),
            logistic(scored.values, scored.relevant),
            (scored.values[order], rising),
        )

    def row(self, scored: Scored, resamples: int, seed: int) -> dict[str, float]:
        """Return what the fit gives on a sample; intervals resample its lists."""
        values, relevant = scored.values, scored.relevant
        precision, recall, f1 = kept(values, relevant, self.threshold)
        own = kept(values, relevant, best_threshold(values, relevant))
        members = [np.flatnonzero(scored.groups == one) for one in np.unique(scored.groups)]
        generator = np.random.default_rng(seed)
        drawn = []
        for _ in range(resamples):
            picked = generator.integers(0, len(members), len(members))
            places = np.concatenate([members[one] for one in picked])
            drawn.append(kept(values[places], relevant[places], self.threshold)[:2])
        low, high = _interval(np.array(drawn))
        return {
            "lists": len(members),
            "passages": len(values),
            "relevant": float(relevant.mean()),
            "predicted": float(special.expit(np.polyval(self.slope, values)).mean()),
            "ece logistic": calibration_error(
                special.expit(np.polyval(self.slope, values)), relevant
            ),
            "ece isotonic": calibration_error(np.interp(values, *self.steps), relevant),
            "precision": precision,
            "precision low": low[0],
            "precision high": high[0],
            "recall": recall,
            "recall low": low[1],
            "recall high": high[1],
            "f1": f1,
            "f1 own threshold": own[2],
        }


def _interval(drawn: np.ndarray) -> np.ndarray:
    """Return the 95% interval of each column, ``[2, columns]``; NaN where none has a value."""
    columns = [own[np.isfinite(own)] for own in drawn.T]
    nothing = np.full(2, np.nan)
    return np.stack(
        [np.quantile(own, [0.025, 0.975]) if own.size else nothing for own in columns], axis=1
    )


def compared(
    samples: dict[str, dict[str, Scored]], fitted: str, resamples: int = 1000, seed: int = 13
) -> pd.DataFrame:
    """Return one row a scale and sample: what the fit on one sample gives on each.

    Args:
        samples: ``{sample: {scale: passages}}``.
        fitted: the sample that thresholds and curves are fixed on.
    """
    rows = []
    for scale, scored in samples[fitted].items():
        fit = Fit.of(scored)
        rows += [
            {"scale": scale, "sample": name, **fit.row(own[scale], resamples, seed)}
            for name, own in samples.items()
        ]
    return pd.DataFrame(rows)


def main() -> None:
    """Run from the command line."""
    import torch

    from benchmarks.serve import EncoderRanker, Parts
    from headrank.ranker.ranker import HeadRanker

    parser = arguments(__doc__)
    parser.add_argument("--heads", help="file of heads; by default the adapter's")
    parser.add_argument("--adapter", help="folder that `headrank align` wrote")
    parser.add_argument("--encoder", help="folder of a sentence encoder, as one more scale")
    parser.add_argument("--collections", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--lists", type=int, default=Sample.lists, help="of a sample at most")
    parser.add_argument("--seed", type=int, default=Sample.seed)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ranker = HeadRanker.from_pretrained(
        options.model, options.heads, options.adapter, document_tokens="heads", seed=options.seed
    )
    ranker.quiet = True
    encoder = None
    if options.encoder:
        tokens = ranker.options.prompt.document_tokens
        encoder = EncoderRanker(Parts("", options.encoder, "", tokens=tokens), stored=False)
    drawn, samples = Sample(options.lists, seed=options.seed), {}
    for number, folder in enumerate(options.collections):
        splits = ("test",) if number else ("valid", "test")
        for split, (lists, qrels) in zip(splits, sampled(folder, splits, drawn), strict=True):
            found = on_scales(ranker, lists, qrels)
            if encoder is not None:
                values = [_values(encoder, one) for one in lists]
                found["encoder"] = gathered(values, lists, qrels)
            samples[f"{Path(folder).name} {split}"] = found
    write(compared(samples, next(iter(samples)), seed=options.seed), options.output)


if __name__ == "__main__":
    main()
