"""A user's query and passages as a checked candidate list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from headrank.errors import HeadRankError
from headrank.lists import CandidateList, Passage
from headrank.texts import half_pair, is_blank


def as_candidates(
    query: str,
    passages: Iterable[str | Passage | Mapping[str, str]],
    *,
    ids: Iterable[str | int] | None = None,
    query_id: str | int | None = None,
) -> CandidateList:
    """Return a checked candidate list from what a user has at hand.

    A mapping's id may be named ``_id``, as BEIR does; ids that are numbers become their digits.

    Args:
        passages: anything that gives them in order, a generator too.

    Raises:
        HeadRankError: no passages or something without an order, one without a text that can be
            seen, an id twice or missing, or a text or id that UTF-8 cannot hold; the message
            names the passage.
    """
    check_text(query, "the query")
    if isinstance(passages, str):
        raise HeadRankError("passages is one text; give a list of texts")
    if isinstance(passages, (Passage, Mapping, Set)) or not isinstance(passages, Iterable):
        raise HeadRankError(
            f"passages is a {type(passages).__name__}; give a list (or another iterable with an "
            "order) of texts, Passage objects or mappings with 'text'"
        )
    passages = list(passages)
    if ids is not None:
        ids = list(ids)
    made, found = [], []
    for number, passage in enumerate(passages):
        where = f"passage {number + 1} of {len(passages)}"
        if isinstance(passage, str):
            passage = Passage("", passage)
        elif isinstance(passage, Mapping):
            if unknown := set(passage) - {"id", "_id", "title", "text"}:
                raise HeadRankError(
                    f"{where}: key {min(unknown, key=str)!r} is unknown; allowed: id, title, text"
                )
            if {"id", "_id"} <= passage.keys():
                raise HeadRankError(f"{where}: both 'id' and '_id' are given; keep one")
            found.append(passage.get("id", passage.get("_id")))
            passage = Passage(passage.get("title") or "", passage.get("text", ""))
        elif not isinstance(passage, Passage):
            raise HeadRankError(
                f"{where} is a {type(passage).__name__}; give a text, a Passage or a mapping "
                "with 'text'"
            )
        if passage.title:
            check_text(passage.title, f"the title of {where}")
        if passage.text or not passage.title:
            check_text(passage.text, where)
        made.append(passage)
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
    name = query if query_id is None or query_id == "" else str(query_id)
    return CandidateList(name, query, tuple(str(i) for i in ids), tuple(made))


def check_text(text: object, where: str) -> None:
    """Refuse what is not a text, is empty, or no tokenizer can take."""
    if not isinstance(text, str):
        raise HeadRankError(f"{where} is a {type(text).__name__}; give a text")
    if is_blank(text):
        holds = " (it holds invisible characters alone)" if text.strip() else ""
        raise HeadRankError(f"{where} is empty{holds}; leave it out or give a text")
    if (place := half_pair(text)) is not None:
        raise HeadRankError(
            f"{where} holds half of a surrogate pair at character {place}, which is no "
            "text; repair the input's encoding"
        )
