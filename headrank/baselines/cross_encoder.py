"""The cross-encoder baseline: a sequence classifier reads query and passage together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from headrank.data.candidates import CandidateList
from headrank.data.list_records import list_records, score_record, scored_run
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.io.record_checkpoint import RecordCheckpoint
from headrank.models.safe_loading import check_device, load_tokenizer, load_weights
from headrank.reading.plain_text import plain_batch


@dataclass(frozen=True)
class Scored:
    """Scores of one list and what they cost.

    Attributes:
        scores: ``[docs]`` in the list's order, higher is better.
        batches: forward passes.
        tokens: read in them, without padding.
    """

    scores: np.ndarray
    batches: int
    tokens: int


class CrossEncoder:
    """A sequence classifier with one label, or with two of which the second means relevant.

    The score is the logit of the one label (sentence-transformers' convention), or the
    log-odds of the second against the first (monoBERT, arXiv 1910.14424).
    """

    def __init__(
        self, path: str | os.PathLike, *, max_tokens: int, device: str = "cpu", batch: int = 32
    ) -> None:
        """Load the classifier.

        Args:
            path: folder or hub repository that ``AutoModelForSequenceClassification`` reads.
            max_tokens: where query and passage together are cut, the longer one first.

        Raises:
            HeadRankError: nothing to load there, absent weights (an encoder without a
                classifier would get a random one), another number of labels, fewer
                positions than ``max_tokens``, or no such device.
        """
        device = check_device(device)
        _, self.tokenizer = load_tokenizer(path, "classifier")
        model = load_weights(
            AutoModelForSequenceClassification, path, device=device, what="classifier"
        )
        if model.config.num_labels not in (1, 2):
            raise HeadRankError(
                f"{path}: the classifier has {model.config.num_labels} labels; a relevance model "
                "has 1, or 2 of which the second means relevant"
            )
        # Some models count positions from 2: their tokenizer knows what is left.
        positions = min(model.config.max_position_embeddings, self.tokenizer.model_max_length)
        if max_tokens > positions:
            raise HeadRankError(f"{path}: max_tokens is {max_tokens}, the encoder has {positions}")
        self.model, self.device, self.max_tokens = model, device, max_tokens
        padded = None not in (self.tokenizer.pad_token_id, model.config.pad_token_id)
        self.batch = batch if padded else 1

    @torch.inference_mode()
    def score(self, candidates: CandidateList) -> Scored:
        """Return the scores of one list; title and text of a passage stand on two lines."""
        texts = [f"{p.title}\n{p.text}".strip() for p in candidates.passages]
        # Neighbours of similar length waste little padding; the order changes no score.
        places = sorted(range(len(texts)), key=lambda place: (len(texts[place]), place))
        scores, batches, tokens = np.empty(len(texts)), 0, 0
        for start in range(0, len(places), self.batch):
            chosen = places[start : start + self.batch]
            encoded = plain_batch(
                self.tokenizer,
                [candidates.query] * len(chosen),
                [texts[place] for place in chosen],
                max_tokens=self.max_tokens,
                padded=self.batch > 1,
                device=self.device,
            )
            logits = self.model(**encoded).logits.float()
            found = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
            scores[chosen] = found.cpu().numpy()
            batches += 1
            tokens += int(encoded["attention_mask"].sum())
        return Scored(scores, batches, tokens)

    def run(
        self,
        lists: Sequence[CandidateList],
        name: str = "cross-encoder",
        checkpoint: RecordCheckpoint | None = None,
    ) -> Run:
        """Return every list ordered by its scores.

        Args:
            checkpoint: of records with `headrank.data.list_records.SCORES`; a killed job goes on
                behind its lists.

        Raises:
            HeadRankError: a score that is not finite, or as `headrank.data.list_records.resumed`.
        """

        def made(some: Sequence[CandidateList]) -> Iterator[dict]:
            for candidates in some:
                yield score_record(candidates, self.score(candidates).scores.tolist())

        return scored_run(list_records(lists, made, checkpoint, name), name)
