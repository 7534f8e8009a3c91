"""What goes over the wire: a request, its list of candidates, the answer, an error's sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from headrank.data.candidates import CandidateList, as_candidates
from headrank.data.spellings import DOCUMENT
from headrank.errors import HeadRankError, brief
from headrank.ranker.ranking import RankedPassage, cut_note
from headrank.serve.options import Limits
from headrank.serve.worker import Answer

_SEEN = {"minLength": 1, "pattern": r"\S"}
"""What JSON's schema can say of a text that is not blank; invisible characters alone are, too."""
_LONGEST = 500  # characters of an error's sentence: it may quote what was sent


Text = Annotated[str, Field(json_schema_extra=_SEEN)]


def _whole(value: object) -> object:
    """Return 3.0 as 3, as JSON's schema counts it; all else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


TopN = Annotated[int, Field(ge=1), BeforeValidator(_whole)]


class Document(BaseModel):
    """A document: its text, title or both are read; other keys come back as they were sent."""

    model_config = ConfigDict(extra="allow", strict=True)
    text: str | None = None
    title: str | None = None

    @property
    def sent(self) -> dict[str, Any]:
        """Return its keys as they came."""
        return self.model_dump(exclude_unset=True)


Unread = Annotated[Any, Field(description="accepted, not followed; meta.warnings says so")]
UNREAD = (
    "rank_fields",
    "max_chunks_per_doc",
    "max_tokens_per_doc",
    "relevant_spans",
    "priority",
)
"""Fields of Cohere's requests that have no meaning here; all of Jina's are followed."""


class RerankRequest(BaseModel):
    """A query and the documents to rank for it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    query: Text
    documents: Annotated[list[Text | Document], Field(min_length=1), FailFast()]
    model: Annotated[str | None, Field(description="as GET /v1/models names it")] = None
    top_n: Annotated[TopN | None, Field(description="the best only; by default all")] = None
    return_documents: Annotated[bool | None, Field(description="texts in the answer")] = False
    rank_fields: Unread = None
    max_chunks_per_doc: Unread = None
    max_tokens_per_doc: Unread = None
    relevant_spans: Unread = None
    priority: Unread = None

    @property
    def characters(self) -> int:
        """Return the characters of query, titles and texts."""
        return len(self.query) + sum(
            len(one) if isinstance(one, str) else sum(map(len, _texts(one)))
            for one in self.documents
        )


def _texts(document: Document) -> list[str]:
    """Return what may be read of a document, by whatever name."""
    names = (*DOCUMENT["text"], *DOCUMENT["title"])
    return [value for key, value in document.sent.items() if key in names and type(value) is str]


class ResultDocument(BaseModel):
    """A document as it was sent, with its other keys."""

    model_config = ConfigDict(extra="allow")
    text: str
    title: str | None = None


class Result(BaseModel):
    """One document of the ranking."""

    index: Annotated[int, Field(description="its place among the documents sent, from 0")]
    relevance_score: Annotated[
        float, Field(description="higher is more relevant; comparable within one answer only")
    ]
    document: ResultDocument | None = None


class Usage(BaseModel):
    """What was read."""

    total_tokens: int


class RerankResponse(BaseModel):
    """The ranking, best first."""

    id: str
    model: str
    results: list[Result]
    usage: Usage
    meta: Annotated[
        dict[str, Any],
        Field(description="api_version; warnings of texts that were cut and fields not followed"),
    ]


class Fault(BaseModel):
    """Why a request was not answered."""

    id: str
    message: str


def candidates_of(request: RerankRequest, limits: Limits) -> CandidateList:
    """Return the request's list, as ``HeadRanker.rerank(query, documents)`` would make it.

    An id of a document is one of its other keys: places tell documents apart, so two parts of one
    document may bear its id.

    Raises:
        HeadRankError: more documents or characters than the limits, a text that is none, a key
            that is a slip of one that is read, or a number that could not be sent back.
    """
    for name, value in (
        ("documents", len(request.documents)),
        ("characters", request.characters),
    ):
        limit = getattr(limits, name)
        if value > limit:
            raise HeadRankError(
                f"the request has {value} {name}, this server takes {limit} (--{name}); send fewer"
            )
    passages = [
        one if isinstance(one, str) else _passage(one, place)
        for place, one in enumerate(request.documents)
    ]
    return as_candidates(request.query, passages)


def _passage(document: Document, place: int) -> dict[str, Any]:
    """Return what is read of a document."""
    sent = document.sent
    for key in document.model_extra or {}:
        try:
            json.dumps(sent[key], allow_nan=False)
        except ValueError:
            raise HeadRankError(
                f"documents[{place}]: '{brief(key)}' holds a number that is not finite"
            ) from None
    return {key: value for key, value in sent.items() if key not in DOCUMENT["id"]}


def answered(
    request: RerankRequest, answer: Answer, *, request_id: str, model: str, version: str
) -> dict[str, Any]:
    """Return the answer's JSON; scores keep every bit, as Python writes floats."""
    return {
        "id": request_id,
        "model": model,
        "results": [_result(request, one) for one in answer.ranking[: request.top_n]],
        "usage": {"total_tokens": answer.tokens},
        "meta": {"api_version": {"version": version}, **_warnings(request, answer.ranking)},
    }


def _result(request: RerankRequest, one: RankedPassage) -> dict[str, Any]:
    found: dict[str, Any] = {"index": one.index, "relevance_score": one.score}
    if request.return_documents:
        document = request.documents[one.index]
        found["document"] = {"text": one.passage.text}
        if isinstance(document, Document):
            found["document"] |= document.sent
    return found


def _warnings(request: RerankRequest, ranking: Sequence[RankedPassage]) -> dict[str, list[str]]:
    """Return what the answer's reader should know: cut texts, and fields that changed nothing."""
    told = []
    if note := cut_note((one.tokens, one.kept_tokens) for one in ranking):
        told.append(note)
    if unread := [name for name in UNREAD if getattr(request, name) is not None]:
        told.append(f"this server does not follow {', '.join(unread)}")
    return {"warnings": told} if told else {}


def sentence(error: Exception | str) -> str:
    """Return an error's text, one line of bounded length."""
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def invalid(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return in one sentence why a body is no request, of pydantic's list of errors.

    A document may be a text or an object, and pydantic says of both why it is neither: what is
    told is of the kind that was sent.
    """
    of_kind = [one for one in errors if not _other_kind(one)]
    error = (of_kind or errors)[0]
    place = [part for part in error["loc"] if part not in ("body", "str", "Document")]
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
    if error["type"] == "extra_forbidden":
        return f"{brief(where)} is unknown; allowed: {', '.join(RerankRequest.model_fields)}"
    if error["type"] == "missing":
        return f"{where} is missing" if where else "the body is empty; send a JSON object"
    if error["type"] == "too_short":
        return f"{where} is empty; give at least {error['ctx']['min_length']}"
    if not of_kind:
        given = type(error["input"]).__name__
        return f"{where} is a {given}; give a text, or an object with text, title or both"
    value = error["input"]
    shown = f" (it is {value})" if isinstance(value, (bool, int, float)) else ""
    return f"{where or 'the body'}: {error['msg']}{shown}"


def _other_kind(error: Mapping[str, Any]) -> bool:
    """Return whether an error tells that a document is not of the kind that it was not meant as."""
    place = error["loc"][3:]
    if place == ("str",):
        return not isinstance(error["input"], str)
    return place == ("Document",)
