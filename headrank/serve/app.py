"""The endpoints, as an ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from headrank import __version__
from headrank.errors import HeadRankError, Unfit, brief
from headrank.models.devices import OutOfMemory
from headrank.ranker.ranker import HeadRanker
from headrank.serve import log, wire
from headrank.serve.gate import RERANK, ROUTES, Gate, Gone, Refused, Ticket, failure, refusal
from headrank.serve.metrics import CONTENT_TYPE, Metrics
from headrank.serve.options import Keys, Limits
from headrank.serve.strict import StrictRoute
from headrank.serve.worker import Answer, Job, Ranker, RefusedList, Worker

# Spans and measurements may hold what a user sent, and variables of the environment turn them on.
_NO_TELEMETRY = {
    name: False for name in ("tracing", "metrics", "logs", "operation_spans", "auto_configure")
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": wire.Fault, "description": why}
    for status, why in {
        400: "the body is no JSON",
        401: "no valid API key",
        404: "another model than the served one",
        408: "the body came too slowly",
        413: "the body is too large",
        422: "the request is none, or too large for this server or its model",
        429: "no room; Retry-After says when",
        500: "the server failed",
        503: "the server is stopping",
        504: "not ranked in time",
    }.items()
}


def make_app(
    ranker: Ranker, names: Sequence[str], *, limits: Limits | None = None, keys: Keys | None = None
) -> Gate:
    """Return the application; a thread of its own reads from here on.

    Args:
        ranker: ``HeadRanker``, or what ranks lists as it does. Nothing else may use it meanwhile.
        names: that requests may give as ``model``; the first one is told.
    """
    limits, keys, metrics = limits or Limits(), keys or Keys(), Metrics()
    worker = Worker(ranker, limits.batch_tokens)
    endpoints = FastAPI(
        title="HeadRank",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    gate = Gate(endpoints, worker=worker, limits=limits, keys=keys, metrics=metrics)
    told = {"version": __version__, "model": names[0], **read_of(ranker)}
    told = {name: str(value) for name, value in told.items()}
    metrics.watch(worker, limits.queue, lambda: gate.inside, told)
    endpoints.router.route_class = StrictRoute
    _add_faults(endpoints)
    _add_rerank(endpoints, gate, names)
    _add_state(endpoints, gate, names)
    return gate


def read_of(ranker: Ranker) -> dict[str, str | int]:
    """Return how a ranker reads, without paths of this machine; nothing of other classes.

    ``heads`` is the number of those that are read: all of the model's with ICR.
    """
    if not isinstance(ranker, HeadRanker):
        return {}
    model, options = ranker.model, ranker.options
    heads = model.layers * model.heads if ranker.heads is None else len(ranker.heads.heads)
    return {"method": options.method, "heads": heads, "layout": options.prompt.layout}


def _add_rerank(endpoints: FastAPI, gate: Gate, names: Sequence[str]) -> None:
    """Add the paths that rank."""

    async def rerank(body: wire.RerankRequest, request: Request) -> Response:
        """Rank documents for a query."""
        ticket: Ticket = request.scope["headrank"]
        ticket.documents, ticket.characters = len(body.documents), body.characters
        if body.model is not None and body.model not in names:
            raise Refused(
                404,
                f"model '{brief(body.model)}' is not served; this server has {', '.join(names)}",
            )
        try:
            candidates = wire.candidates_of(body, gate.limits)
        except HeadRankError as error:
            raise Refused(422, wire.sentence(error)) from None
        ticket.answer = await ranked(gate, candidates, request, ticket)
        found = wire.answered(
            body,
            ticket.answer,
            request_id=ticket.id,
            model=body.model or names[0],
            version="2" if request.url.path.startswith("/v2") else "1",
        )
        return JSONResponse(found)

    for path in RERANK:
        endpoints.add_api_route(
            path,
            rerank,
            methods=["POST"],
            response_model=wire.RerankResponse,
            responses=_REFUSALS,
            operation_id=path.strip("/").replace("/", "_"),
        )


async def ranked(gate: Gate, candidates: Any, request: Request, ticket: Ticket) -> Answer:
    """Return a list's answer; its job is dropped if nobody waits for it any more.

    Raises:
        Refused: the ranker cannot read the list, it takes too long, or the server stops.
        Gone: the client left.
    """
    job = gate.worker.submit(candidates)
    answer = asyncio.wrap_future(job.answer)
    left = asyncio.ensure_future(_left(request))
    closing = asyncio.ensure_future(gate.closing.wait())
    try:
        wait = max(0.0, ticket.deadline - time.monotonic())
        done, _ = await asyncio.wait(
            {answer, left, closing}, timeout=wait, return_when=asyncio.FIRST_COMPLETED
        )
        if answer in done:
            return await _result(answer, ticket)
        if left in done:
            raise Gone
        if closing in done:
            raise Refused(503, "the server stopped before this request was ranked")
        raise Refused(504, _late(gate, job))
    finally:
        left.cancel()
        closing.cancel()
        if not answer.done():
            gate.worker.drop(job)
            # A job that runs ends for nobody: what it ends with is no fault of anybody's.
            answer.add_done_callback(lambda one: one.cancelled() or one.exception())


async def _left(request: Request) -> None:
    """Return once the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _result(answer: asyncio.Future[Answer], ticket: Ticket) -> Answer:
    try:
        return await answer
    except RefusedList as error:
        raise Refused(422, wire.sentence(error)) from None
    except OutOfMemory as error:
        log.event("fault", id=ticket.id, error=error)
        told = "the request needs more memory than this server has; send fewer or shorter documents"
        raise Refused(422, told) from None
    except Unfit as error:
        raise Refused(422, wire.sentence(error.request)) from None
    except HeadRankError as error:
        log.event("fault", id=ticket.id, error=error)
        raise failure(ticket) from None


def _late(gate: Gate, job: Job) -> str:
    where = "still waited" if not job.tokens else "was being read"
    return (
        f"not ranked within {gate.limits.timeout:g} s (--timeout): the request {where}; send fewer "
        "or shorter documents, or ask less often"
    )


def _add_state(endpoints: FastAPI, gate: Gate, names: Sequence[str]) -> None:
    """Add what tells of the server."""
    started = int(time.time())

    @endpoints.get("/health", responses={503: {"description": "stopping, or failed"}})
    async def health() -> Response:
        """Tell whether requests are answered; needs no API key."""
        status = "stopping" if gate.draining else "ok" if gate.worker.alive else "failed"
        content = {"status": status, "version": __version__}
        return JSONResponse(content, status_code=200 if status == "ok" else 503)

    @endpoints.get("/v1/models")
    async def models() -> dict[str, Any]:
        """Tell what is served, and within which limits."""
        common = {"object": "model", "created": started, "owned_by": "headrank"}
        own = {**read_of(gate.worker.ranker), "limits": asdict(gate.limits)}
        return {"object": "list", "data": [{"id": name, **common, **own} for name in names]}

    @endpoints.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Tell counts in Prometheus' text format."""
        return Response(gate.metrics.text(), media_type=CONTENT_TYPE)


def _add_faults(endpoints: FastAPI) -> None:
    """Answer whatever is wrong in one form: an id and a sentence."""

    async def refused(request: Request, error: Exception) -> Response:
        return refusal(request.scope["headrank"].id, error)

    async def http_error(request: Request, error: HTTPException) -> Response:
        message = str(error.detail)
        if error.status_code == 404:
            message = f"no such path; this server has {', '.join(ROUTES)}"
        headers = dict(error.headers or {})
        if error.status_code == 405:
            message = f"{request.method} is not for this path; send {headers.get('Allow')}"
        return await refused(request, Refused(error.status_code, message, headers))

    async def invalid(request: Request, error: RequestValidationError) -> Response:
        found = error.errors()
        if found[0]["type"] == "json_invalid":
            place = found[0]["loc"][-1]
            fault = Refused(400, f"the body is no JSON, from character {place} on; send an object")
        elif isinstance(error.body, bytes):
            fault = Refused(422, "send the body with Content-Type: application/json")
        else:
            fault = Refused(422, wire.sentence(wire.invalid(found)))
        return await refused(request, fault)

    async def failed(request: Request, error: Exception) -> Response:
        # What is raised here goes on to the gate, which logs it.
        return await refused(request, failure(request.scope["headrank"]))

    endpoints.add_exception_handler(Exception, failed)
    endpoints.add_exception_handler(Refused, refused)
    endpoints.add_exception_handler(HTTPException, http_error)
    endpoints.add_exception_handler(RequestValidationError, invalid)
