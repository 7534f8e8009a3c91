"""HeadRanker: rerank passages by a few heads of one truncated prefill."""

from __future__ import annotations

import itertools
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from headrank.data.candidates import (
    CandidateList,
    Passage,
    arrange,
    as_candidates,
    check_text,
    in_order,
)
from headrank.data.heads import HeadSet
from headrank.errors import HeadRankError, brief
from headrank.models.decoder import LoadedModel
from headrank.options.checks import check_path, check_whole
from headrank.options.loading import check_keywords
from headrank.ranker.forms import CrossEncoderForms
from headrank.ranker.long_lists import deal, merge
from headrank.ranker.options import RankerKeywords, RankerOptions
from headrank.ranker.ranking import RankedPassage, cut_note, ranked
from headrank.ranker.saved import load_parts, save_ranker
from headrank.reading.document_store import DocumentStore
from headrank.reading.prompt import PromptBuilder
from headrank.reading.prompt_tokens import Prompt
from headrank.reading.sliding_window import check_prompt

if TYPE_CHECKING:
    from headrank.reading.batches import TokenBudget
    from headrank.reading.document_store import Shelf


_SORTED = 256  # lists whose prompts are sorted by length before they are read in batches
_FEWER = "rerank fewer candidates at once (window=N, --window N: prompts of at most N documents)"
logger = logging.getLogger(__name__)


@dataclass(repr=False)
class HeadRanker(CrossEncoderForms):
    """A truncated model with the heads it is read by.

    Attributes:
        heads: the heads read; None reads all (ICR).
        adapter: folder of the adapter that is in the model, or None.
        revision: commit of the hub repository the model came from, if it did.
        quiet: do not log that passages are cut; the rankings and ``sizes`` tell of it.
        store: encoded documents that are not read again, in layout ``block``; a folder that is
            given becomes its ``DocumentStore``.
    """

    model: LoadedModel
    heads: HeadSet | None
    options: RankerOptions
    adapter: Path | None = None
    revision: str | None = None
    quiet: bool = False
    store: DocumentStore | str | os.PathLike | None = None
    _shelf: Shelf | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.builder = PromptBuilder(
            self.model.tokenizer,
            self.options.prompt,
            self.model.context,
            fit=self.options.fit,
            fewer=_FEWER,
        )
        if self.heads is not None and isinstance(self.heads.provenance, Mapping):
            self.builder.check_wrapper(self.heads.provenance, "the heads")
        if self.store is not None:
            from headrank.ranker.encoding import bound_store

            self.store = bound_store(self)

    def __repr__(self) -> str:
        """Return one line: model, method, heads, adapter."""
        read = "all heads" if self.heads is None else f"{len(self.heads.heads)} heads"
        adapter = "" if self.adapter is None else f", adapter {str(self.adapter)!r}"
        return f"HeadRanker({self.options.method}, {read} of {self.model!r}{adapter})"

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | os.PathLike,
        heads: HeadSet | str | os.PathLike | None = None,
        adapter: str | os.PathLike | None = None,
        *,
        model: str | os.PathLike | None = None,
        merge: bool = False,
        store: DocumentStore | str | os.PathLike | None = None,
        **asked: Unpack[RankerKeywords],
    ) -> HeadRanker:
        """Return a ranker whose model ends in the deepest head it reads.

        Args:
            path_or_id: folder of a saved ranker or of a model, or a hub repository of either.
            heads: a head set, its JSON file, or the name of a published one, such as
                ``qrhead-nq/llama-3.1-8b`` (see ``headrank.heads.named``); by default the saved
                ranker's or the adapter's. ICR reads all heads and needs none.
            adapter: folder that alignment wrote.
            model: where a saved ranker's base model lies now, if it was moved.
            merge: add the adapter's weights to the model's, so it costs nothing. In bfloat16
                the sum is rounded: scores differ from ``merge=False``, which the workflow's
                readings have, by about two percent of a mass. Not for an adapter of the query's
                tokens alone.
            store: keeps the documents that are read in layout ``block``, for later lists: a
                folder, which is made if it is not there, or a ``DocumentStore``, which says more
                (``DocumentStore.open`` of a folder); rankers may share one.
            asked: ``method``, ``prompt``, ``document_tokens``, ``order``, ``seed``, ``window``,
                ``fold``, ``dtype``, ``device`` and ``revision``; see
                `headrank.ranker.options.RankerKeywords`. What is not given is the saved ranker's,
                or the heads' own.

        Raises:
            HeadRankError: nothing to load there, an architecture that is not supported,
                heads or adapter of another model, a method that reads selected heads without
                any, a saved ranker whose files changed, or a keyword that is unknown.
        """
        check_keywords(asked, RankerKeywords, "from_pretrained")
        check_path("path_or_id", path_or_id, "a hub repository")
        for name, value in (("adapter", adapter), ("model", model)):
            if value is not None:
                check_path(name, value, "None")
        if store is not None and not isinstance(store, DocumentStore):
            check_path("store", store, "a DocumentStore")
        parts = load_parts(path_or_id, heads, adapter, asked, model=model, merge=merge)
        return cls(**parts, store=store)

    def save_pretrained(self, folder: str | os.PathLike) -> None:
        """Write a folder that ``from_pretrained`` reads: everything but the base weights."""
        save_ranker(self, folder)

    def push_to_hub(
        self,
        repo: str,
        *,
        results: Iterable[Mapping[str, object]] = (),
        license: str | None = None,
        private: bool | None = None,
        message: str | None = None,
    ) -> str:
        """Put what ``save_pretrained`` writes on the hub with a model card; return the commit.

        Arguments and errors are those of `headrank.ranker.push.push_folder`.

        Args:
            results: numbers of your own for the model card, each with ``metric`` and ``value``,
                and maybe ``collection``, ``queries`` (their number) and ``note``.
            license: of heads and adapter.
        """
        from headrank.ranker.push import push_folder

        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "ranker")
            return push_folder(
                Path(folder) / "ranker",
                repo,
                results=results,
                license=license,
                private=private,
                message=message,
            )

    def rerank(
        self,
        query: str,
        passages: Iterable[str | Passage | Mapping[str, str]],
        *,
        ids: Sequence[str] | None = None,
        query_id: str | None = None,
        top_k: int | None = None,
    ) -> list[RankedPassage]:
        """Return the passages ranked for the query, best first; ties by id.

        Args:
            passages: any iterable of texts, ``Passage`` objects, or mappings with ``text`` (or
                ``page_content``) and maybe ``title`` and ``id``, in the first stage's order.
            ids: their ids; by default those of the mappings, else their places.
            query_id: with the seed it decides the shuffled order; by default the query.
            top_k: return the best so many; all are read. None returns all.

        Raises:
            HeadRankError: no or empty passages, top_k below 1, an id twice, a list that does not
                fit, a passage out of a head's sliding window, or attention that is not finite.
        """
        if top_k is not None:
            top_k = check_whole("top_k", top_k, 1, "None")
        (ranking,) = self.rerank_queries([query], passages, ids=ids, query_id=query_id)
        return ranking[:top_k]

    def rerank_queries(
        self,
        queries: Iterable[str],
        passages: Iterable[str | Passage | Mapping[str, str]],
        *,
        ids: Sequence[str] | None = None,
        query_id: str | None = None,
    ) -> list[list[RankedPassage]]:
        """Return a ranking of the same passages for each query, over one shared prefix.

        The documents are prefilled once, whatever the number of queries; each ranking is
        what ``rerank`` gives for the same order of the passages.
        """
        queries = list(in_order(queries, "queries", "texts"))
        if not queries:
            return []
        candidates = as_candidates(queries[0], passages, ids=ids, query_id=query_id)
        for number, query in enumerate(queries):
            check_text(query, f"query {number + 1} of {len(queries)}")
        (found,) = self._score([candidates], queries=queries)
        return [ranked(candidates, values, found.sizes) for values in found.scores]

    def rerank_lists(
        self,
        lists: Iterable[CandidateList],
        *,
        batch: int = 1,
        budget: TokenBudget | None = None,
    ) -> Iterator[list[RankedPassage]]:
        """Yield the ranking of each list, in their order.

        Args:
            lists: each in its first stage's order.
            batch: prompts read side by side, padded to the longest; in block layouts, whose
                documents fill passes of their own, their queries share a pass. Scores equal those
                of single lists up to rounding (1e-5 relative in float32; bfloat16 rounds more).
            budget: in place of ``batch``: prompts read side by side, as many as a budget of tokens
                holds, of some hundred lists those of like length together.

        Raises:
            HeadRankError: as ``rerank``.
        """
        check_whole("batch", batch, 1)
        lists = iter(in_order(lists, "lists", "CandidateList objects"))
        if budget is not None and not hasattr(budget, "alone"):
            raise HeadRankError(f"budget is {budget!r:.80}; allowed: a TokenBudget, or None")
        return self._in_chunks(lists, batch, budget)

    def _in_chunks(
        self, lists: Iterator[CandidateList], batch: int, budget: TokenBudget | None
    ) -> Iterator[list[RankedPassage]]:
        """Yield the ranking of each list; some are read side by side."""
        size = batch
        if budget is not None and budget.alone:
            budget = None
        elif budget is not None:
            size = _SORTED
        while chunk := list(itertools.islice(lists, size)):
            scored = self._score(chunk, batch=batch, budget=budget)
            for candidates, found in zip(chunk, scored, strict=True):
                yield ranked(candidates, found.scores[0], found.sizes)

    def sizes(self, candidates: CandidateList) -> dict[str, tuple[int, int]]:
        """Return ``{doc_id: (tokens, tokens that are read)}`` of a list.

        Nothing is read: this checks a list before the first one costs time.

        Raises:
            HeadRankError: as ``work``.
        """
        return _sizes(self._prompts(candidates))

    def work(self, candidates: CandidateList, *, stored: bool = False) -> tuple[int, int]:
        """Return how many prompts a list takes and their tokens, suffixes included.

        Args:
            stored: the documents lie in the store, so the suffixes alone are read.

        Raises:
            HeadRankError: it does not fit the context, or a text is empty.
        """
        prompts = [prompt for _, prompt in self._prompts(candidates)]
        suffixes = [len(suffix.ids) for prompt in prompts for suffix in prompt.suffixes]
        prefixes = [] if stored else [len(prompt.prefix) for prompt in prompts]
        return len(prompts), sum(prefixes) + sum(suffixes)

    def encode(self, passages: Iterable[str | Passage | Mapping[str, str]]) -> int:
        """Read passages into the store, before any query asks; return how many were new.

        Raises:
            HeadRankError: the ranker has no store, or a passage that ``rerank`` would refuse.
        """
        from headrank.ranker.encoding import encode_passages

        return sum(done.new for done in encode_passages(self, passages))

    def shelf(self) -> Shelf | None:
        """Return the store as this ranker's model in its state sees it."""
        if self.store is None:
            return None
        from headrank.reading.document_store import Shelf, document_state

        if self._shelf is None or self._shelf.store is not self.store:
            state = document_state(self.model, self.adapter)
            self._shelf = Shelf(self.store, state, self.model.device)
        return self._shelf

    def tell(self, lists: Sequence[Mapping[object, tuple[int, int]]]) -> None:
        """Log once that passages are cut, unless ``quiet``.

        Args:
            lists: of each the tokens of its passages, and those that are read.
        """
        note = None if self.quiet else cut_note(size for own in lists for size in own.values())
        if note:
            self.quiet = True
            logger.warning("%s; RankedPassage.kept_tokens tells of each", note)

    def _prompts(
        self, candidates: CandidateList, queries: Sequence[str] | None = None
    ) -> list[tuple[CandidateList, Prompt]]:
        """Return each window of a list in prompt order, with its prompt.

        Args:
            queries: by default the list's own.

        Raises:
            HeadRankError: no candidate list, or as ``work``.
        """
        if not isinstance(candidates, CandidateList):
            raise HeadRankError(
                f"lists hold {candidates!r:.80}; each must be a CandidateList: "
                "headrank.data.candidates.as_candidates(query, passages) makes one"
            )
        options = self.options
        calibration = (options.prompt.calibration,) if options.fold.calibrate else ()
        built = []
        for places in deal(len(candidates.doc_ids), options.window):
            window = arrange(candidates.take(places), options.order, options.seed)
            prompt = self.builder.build(window, (*(queries or [window.query]), *calibration))
            check_prompt(self.model, prompt, self.heads, window)
            built.append((window, prompt))
        return built

    def _score(
        self,
        lists: Sequence[CandidateList],
        *,
        queries: Sequence[str] | None = None,
        batch: int = 1,
        budget: TokenBudget | None = None,
    ) -> list[_Scored]:
        """Return the scores of each list."""
        from headrank.ranker.truncated import score_prompts
        from headrank.reading.batches import in_batches

        built = [self._prompts(one, queries) for one in lists]
        sizes = [_sizes(windows) for windows in built]
        self.tell(sizes)
        flat = [(window, prompt) for windows in built for window, prompt in windows]
        shelf = self.shelf()

        def read(numbers: Sequence[int]) -> list[list[np.ndarray]]:
            prompts = [flat[number][1] for number in numbers]
            try:
                return score_prompts(self.model, prompts, self.heads, self.options.fold, shelf)
            except HeadRankError as error:
                names = {brief(flat[number][0].query_id) for number in numbers}
                raise error.named(f"query {', '.join(sorted(names))}: ") from None

        scores: dict[int, list[np.ndarray]] = {}
        if budget is None:
            for first in range(0, len(flat), batch):
                numbers = range(first, min(first + batch, len(flat)))
                scores |= zip(numbers, read(numbers), strict=True)
        else:
            scores |= in_batches([prompt.length for _, prompt in flat], budget, read)
        found = iter(scores[number] for number in range(len(flat)))
        results = []
        for candidates, windows, own in zip(lists, built, sizes, strict=True):
            place = {document: i for i, document in enumerate(candidates.doc_ids)}
            places = [np.array([place[d] for d in window.doc_ids]) for window, _ in windows]
            read = [next(found) for _ in windows]
            merged = [merge(places, list(one)) for one in zip(*read, strict=True)]
            results.append(_Scored(merged, own))
        return results


@dataclass(frozen=True)
class _Scored:
    """One list's scores ``[docs]`` of each query, in the list's own order, and its sizes."""

    scores: list[np.ndarray]
    sizes: Mapping[str, tuple[int, int]]


def _sizes(windows: Sequence[tuple[CandidateList, Prompt]]) -> dict[str, tuple[int, int]]:
    """Return ``{doc_id: (tokens, tokens that are read)}``; windows do not overlap."""
    return {
        document: size
        for window, prompt in windows
        for document, size in zip(
            window.doc_ids, zip(prompt.tokens, prompt.widths, strict=True), strict=True
        )
    }
