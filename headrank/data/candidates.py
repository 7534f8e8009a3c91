"""Candidate lists: what is read and ranked, in a declared order, of declared queries."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from numbers import Integral

import numpy as np

from headrank.data.spellings import DOCUMENT, take
from headrank.errors import HeadRankError, brief, kind_of
from headrank.io.texts import half_pair, is_blank
from headrank.options.lists import ORDER

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Passage:
    """One candidate's text; the title may be empty."""

    title: str
    text: str


@dataclass(frozen=True)
class CandidateList:
    """One query and its candidates, in the order in which they stand in the prompt.

    Attributes:
        drawn_by: what a shuffled order depends on where it is not the id: the query's text, if
            the id is no more than its place in a file. None takes the id.
    """

    query_id: str
    query: str
    doc_ids: tuple[str, ...]
    passages: tuple[Passage, ...]
    drawn_by: str | None = None

    def __post_init__(self) -> None:
        if len(self.doc_ids) != len(self.passages):
            raise HeadRankError(
                f"query {brief(self.query_id)}: {len(self.doc_ids)} document ids for "
                f"{len(self.passages)} passages"
            )
        if len(set(self.doc_ids)) != len(self.doc_ids):
            twice = next(d for d in self.doc_ids if self.doc_ids.count(d) > 1)
            raise HeadRankError(
                f"query {brief(self.query_id)}: document {brief(twice)} is listed twice; keep one"
            )
        for name in (self.query_id, *self.doc_ids):
            if not isinstance(name, str):
                raise HeadRankError(
                    f"query '{brief(self.query_id)}': id '{brief(name)}' is {kind_of(name)}; give "
                    "a text"
                )
            if not name.isascii() and half_pair(name) is not None:
                raise HeadRankError(
                    f"query '{brief(self.query_id)}': id '{brief(name)}' holds half of a surrogate "
                    "pair, which is no text; repair the input's encoding"
                )

    @property
    def key(self) -> str:
        """Return what random choices for this query depend on, the seed apart."""
        return self.query_id if self.drawn_by is None else self.drawn_by

    def take(self, places: Iterable[int]) -> CandidateList:
        """Return the list of the documents at these places, in the order given."""
        chosen = list(places)
        return replace(
            self,
            doc_ids=tuple(self.doc_ids[i] for i in chosen),
            passages=tuple(self.passages[i] for i in chosen),
        )


def arrange(candidates: CandidateList, order: str, seed: int) -> CandidateList:
    """Return the list in one of the declared prompt orders.

    Args:
        candidates: in the first stage's order, best first.
        order: ``first-stage`` (best first), ``reversed`` (best next to the query), or
            ``shuffled`` / ``shuffled-N``: a permutation that depends on the seed, N and
            the list's ``key`` only, so a larger sample leaves each list as it was.
        seed: the experiment's seed.

    Raises:
        HeadRankError: the order is not one of these.
    """
    count = len(candidates.doc_ids)
    return candidates.take(prompt_places(candidates.key, count, order, seed))


def prompt_places(key: str, count: int, order: str, seed: int) -> np.ndarray:
    """Return ``[count]``: which document of the first stage's order stands where in the prompt.

    Arguments and errors are those of ``arrange``; ``key`` is the list's.
    """
    check_order(order)
    places = np.arange(count)
    if order == "reversed":
        return places[::-1]
    if order.startswith("shuffled"):
        return query_generator(seed, order, key).permutation(places)
    return places


def check_order(order: str) -> None:
    """Refuse a name that is not a prompt order."""
    if not isinstance(order, str) or not ORDER.fullmatch(order):
        raise HeadRankError(
            f"order {order!r} is unknown; allowed: first-stage, reversed, shuffled, shuffled-2, ..."
        )


_KEYS = 10  # of a mapping without a text, that its error names
PASSAGES = "texts, Passage objects or mappings with 'text'"
"""What a user may give for passages, as errors tell it."""


def lists_digest(lists: Sequence[CandidateList]) -> str:
    """Return a 16-digit digest of queries and documents, ids and texts, in their order."""
    result = hashlib.sha256()
    for candidates in lists:
        result.update(json.dumps(asdict(candidates)).encode())
    return result.hexdigest()[:16]


def query_generator(seed: int, *names: str) -> np.random.Generator:
    """Return a random generator that depends on the seed and the names alone."""
    key = hashlib.sha256("\x1f".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(key[:8], "big"))


def in_order(values: object, what: str, of: str) -> Iterable:
    """Return an iterable whose entries have an order, as it is.

    Args:
        what: its name, and ``of`` what it must hold, as an error tells them.

    Raises:
        HeadRankError: one text or passage, a set, a table, or something that gives no entries.
    """
    if isinstance(values, str):
        raise HeadRankError(f"{what} is one text; give a list of {of}")
    # A table of pandas iterates over its columns' names, which would be ranked.
    odd = isinstance(values, (Passage, Mapping, Set)) or hasattr(values, "columns")
    if odd or not isinstance(values, Iterable):
        raise HeadRankError(
            f"{what} is {kind_of(values)}; give a list (or another iterable with an order) of {of}"
        )
    return values


def as_candidates(
    query: str,
    passages: Iterable[str | Passage | Mapping[str, str]],
    *,
    ids: Iterable[str | int] | None = None,
    query_id: str | int | None = None,
) -> CandidateList:
    """Return a checked candidate list from what a user has at hand.

    A mapping may name its parts in several ways (``headrank.data.spellings``): ``page_content``
    for ``text``, ``_id`` as BEIR does for ``id``. Other keys are left alone. A title alone is a
    text. Ids that are numbers become their digits.

    Args:
        passages: anything that gives them in order, a generator too.

    Raises:
        HeadRankError: no passages or something without an order, one without a text that can be
            seen, an id twice or missing, or a text or id that UTF-8 cannot hold; the message
            names the passage.
    """
    check_text(query, "the query")
    passages = list(in_order(passages, "passages", PASSAGES))
    if ids is not None:
        ids = list(in_order(ids, "ids", "texts"))
    made, found = [], []
    for number, passage in enumerate(passages):
        where = f"passage {number + 1} of {len(passages)}"
        if isinstance(passage, str):
            passage = Passage("", passage)
        elif isinstance(passage, Mapping):
            known, extra = take(passage, DOCUMENT, where)
            title, text = known.get("title"), known.get("text")
            if text is None and not title:
                keys = f" among {', '.join(map(_quoted, [*extra][:_KEYS]))}" if extra else ""
                raise HeadRankError(f"{where}: 'text' is missing{keys}; give the passage's text")
            found.append(known.get("id"))
            passage = Passage("" if title is None else title, "" if text is None else text)
        elif not isinstance(passage, Passage):
            raise HeadRankError(
                f"{where} is {kind_of(passage)}; give a text, a Passage or a mapping with 'text'"
            )
        made.append(_readable(passage, where))
    if not made:
        raise HeadRankError("there are no passages to rank; give at least one")
    if ids is None and any(name is not None for name in found):
        if len(found) < len(made) or None in found:
            raise HeadRankError("some passages have an id and some have none; give all or none")
        ids = found
    if ids is None:
        # Zeros in front: the order of the ids is the order of the places.
        width = len(str(len(made) - 1))
        ids = [str(number).zfill(width) for number in range(len(made))]
    if len(ids) != len(made):
        raise HeadRankError(f"{len(ids)} ids for {len(made)} passages; give one each")
    name = query if query_id is None or query_id == "" else _id(query_id, "query_id")
    named = [_id(one, f"id {number} of {len(ids)}") for number, one in enumerate(ids, start=1)]
    return CandidateList(name, query, tuple(named), tuple(made))


def _id(value: object, where: str) -> str:
    """Return an id as text: None or a number with a fraction would become one that nobody gave."""
    if isinstance(value, bool) or not isinstance(value, (str, Integral)):
        raise HeadRankError(f"{where} is {value!r:.80}; allowed: a text or a whole number")
    return str(value)


def _readable(passage: Passage, where: str) -> Passage:
    """Return a checked passage; of title and text, one in which nothing can be seen is left out.

    So a title alone is a text, as `headrank.collections.layout.Document.contents` has it.
    """
    title, text = passage.title, passage.text
    for part, name in ((title, f"the title of {where}"), (text, where)):
        if not isinstance(part, str):
            raise HeadRankError(f"{name} is {kind_of(part)}; give a text")
    if is_blank(title) and is_blank(text):
        check_text(*((title, f"the title of {where}") if title and not text else (text, where)))
    for part, name in ((title, f"the title of {where}"), (text, where)):
        if not is_blank(part):
            check_text(part, name)
    return Passage("" if is_blank(title) else title, "" if is_blank(text) else text)


def _quoted(key: object) -> str:
    return f"'{brief(key)}'"


def check_text(text: object, where: str) -> None:
    """Refuse what is not a text, is empty, or no tokenizer can take."""
    if not isinstance(text, str):
        raise HeadRankError(f"{where} is {kind_of(text)}; give a text")
    if is_blank(text):
        holds = " (it holds invisible characters alone)" if text.strip() else ""
        raise HeadRankError(f"{where} is empty{holds}; leave it out or give a text")
    if (place := half_pair(text)) is not None:
        raise HeadRankError(
            f"{where} holds half of a surrogate pair at character {place}, which is no "
            "text; repair the input's encoding"
        )
