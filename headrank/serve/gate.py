"""What every request passes: key, room, size, time, log and counts."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from dataclasses import dataclass, field

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrank.serve import log
from headrank.serve.metrics import Metrics
from headrank.serve.options import Keys, Limits
from headrank.serve.worker import Answer, Worker

RERANK = ("/v1/rerank", "/v2/rerank", "/rerank")
OPEN = ("/health",)
ROUTES = (*RERANK, *OPEN, "/v1/models", "/metrics", "/openapi.json")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
GONE = 499
"""Status in log and counts of a client that left before its answer."""


class Refused(Exception):
    """An answer without a ranking.

    Attributes:
        status: of HTTP.
        headers: of the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


class Gone(Exception):
    """The client left."""


@dataclass
class Ticket:
    """What is known of a request, for its log line and the counts.

    Attributes:
        began: on the monotonic clock; ``deadline`` too.
    """

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    began: float = field(default_factory=time.monotonic)
    deadline: float = math.inf
    status: int | None = None
    bytes: int | None = None
    documents: int | None = None
    characters: int | None = None
    answer: Answer | None = None


class Gate:
    """An ASGI application around the endpoints.

    Attributes:
        inside: rerank requests that were let in and have not ended.
        draining: no rerank request is let in any more.
        closing: those inside that have no answer yet get none.
    """

    def __init__(
        self, app: ASGIApp, *, worker: Worker, limits: Limits, keys: Keys, metrics: Metrics
    ) -> None:
        self.app, self.worker, self.limits = app, worker, limits
        self.keys, self.metrics = keys, metrics
        self.inside, self.draining, self.closing = 0, False, asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        ticket = Ticket()
        ticket.deadline = ticket.began + self.limits.timeout
        scope["headrank"] = ticket

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                ticket.status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", ticket.id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._answer(scope, receive, noted, ticket)
        except Gone:
            ticket.status = GONE
        except Refused as error:
            await refusal(ticket.id, error)(scope, receive, noted)
        except Exception as error:
            log.event("fault", id=ticket.id, error=error)
            if ticket.status is None:
                await refusal(ticket.id, failure(ticket))(scope, receive, noted)
        finally:
            self._note(scope, ticket)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, ticket: Ticket) -> None:
        headers = dict(scope["headers"])
        if scope["path"] not in OPEN and not self.keys.admits(headers.get(b"authorization")):
            raise Refused(
                401,
                "no valid API key; send the header Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer", "Connection": "close"},
            )
        if scope["path"] not in RERANK or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        self._let_in()
        try:
            body = await self._body(headers, receive, ticket)
            await self.app(scope, _replayed(body, receive), send)
        finally:
            self.inside -= 1

    def _let_in(self) -> None:
        if self.draining:
            raise Refused(
                503,
                "the server is stopping; ask another one",
                {"Retry-After": str(math.ceil(self.limits.grace)), "Connection": "close"},
            )
        if self.inside >= self.limits.queue:
            wait = max(1, math.ceil(self.worker.seconds * self.inside))
            raise Refused(
                429,
                f"{self.inside} requests are inside, this server takes {self.limits.queue} "
                f"(--queue); try again in about {wait} s",
                {"Retry-After": str(wait), "Connection": "close"},
            )
        self.inside += 1

    async def _body(self, headers: dict, receive: Receive, ticket: Ticket) -> bytes:
        """Return the whole body.

        Raises:
            Refused: it is larger than the limit, or does not come in time.
        """
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.limits.body:
            self._too_large(f"{int(length)} bytes")
        parts, size, more = [], 0, True
        try:
            async with asyncio.timeout(ticket.deadline - time.monotonic()):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self.limits.body:
                        self._too_large(f"more than {self.limits.body} bytes")
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Refused(
                408,
                f"the body did not come within {self.limits.timeout:g} s; send it faster",
                {"Connection": "close"},
            ) from None
        ticket.bytes = size
        return b"".join(parts)

    def _too_large(self, size: str) -> None:
        raise Refused(
            413,
            f"the body has {size}, this server takes {self.limits.body} (--body-bytes); send fewer "
            "or shorter documents",
            {"Connection": "close"},
        )

    def _note(self, scope: Scope, ticket: Ticket) -> None:
        """Log and count a request that ended."""
        seconds = time.monotonic() - ticket.began
        route = scope["path"] if scope["path"] in ROUTES else "other"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.metrics.requests.labels(route, method, ticket.status).inc()
        answer, cost = ticket.answer, {}
        if route in RERANK:
            self.metrics.seconds.observe(seconds)
        if answer is not None:
            cut = sum(one.kept_tokens < one.tokens for one in answer.ranking)
            self.metrics.waited.observe(answer.waited)
            self.metrics.read.observe(answer.read)
            self.metrics.documents.inc(len(answer.ranking))
            self.metrics.tokens.inc(answer.tokens)
            self.metrics.cut.inc(cut)
            cost = {"tokens": answer.tokens, "cut": cut, "waited": round(answer.waited, 4)}
            cost["read"] = round(answer.read, 4)
        log.event(
            "request",
            id=ticket.id,
            method=method,
            route=route,
            status=ticket.status,
            seconds=round(seconds, 4),
            bytes=ticket.bytes,
            documents=ticket.documents,
            characters=ticket.characters,
            **cost,
        )


def failure(ticket: Ticket) -> Refused:
    """Return the answer of a request on which the server failed; it tells nothing of the fault."""
    return Refused(500, f"the server failed; its log has more under {ticket.id}")


def refusal(request_id: str, error: Refused) -> JSONResponse:
    """Return the answer of a request that gets no ranking."""
    content = {"id": request_id, "message": str(error)}
    return JSONResponse(content, status_code=error.status, headers=error.headers)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives the body once, then what the connection tells."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
