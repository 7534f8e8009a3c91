"""Counts of a server as Prometheus reads them; no label holds what a user sent."""

from __future__ import annotations

from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from headrank.serve.worker import Worker

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """What ``GET /metrics`` shows, in a registry of its own.

    Attributes:
        requests: by route, method and status; a client that left before its answer counts as 499.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry, "namespace": "headrank"}
        self.requests = Counter(
            "requests", "Requests that ended.", ("route", "method", "status"), **own
        )
        self.seconds = Histogram(
            "request_seconds", "From the first byte to the answer.", buckets=_SECONDS, **own
        )
        self.waited = Histogram("queue_seconds", "In the queue.", buckets=_SECONDS, **own)
        self.read = Histogram("read_seconds", "Reading by the model.", buckets=_SECONDS, **own)
        self.documents = Counter("documents", "Documents that were ranked.", **own)
        self.tokens = Counter("tokens", "Tokens of the lists that were ranked.", **own)
        self.cut = Counter("cut_documents", "Ranked documents of which a part was read.", **own)
        self._own = own
        ProcessCollector(registry=self.registry)

    def watch(self, worker: Worker, limit: int, inside: Any, told: dict[str, str]) -> None:
        """Add what is read when it is asked for.

        Args:
            limit: most requests inside.
            inside: a function of their number.
            told: of the model, as it is served.
        """
        Info("serving", "What is served.", **self._own).info(told)
        Gauge("queue_limit", "Most rerank requests inside.", **self._own).set(limit)
        Gauge("inside", "Rerank requests inside.", **self._own).set_function(inside)
        waiting = Gauge("waiting", "Requests that have not begun.", **self._own)
        waiting.set_function(lambda: worker.waiting)
        store = getattr(worker.ranker, "store", None)
        for name in ("hits", "misses", "bytes") if store is not None else ():
            gauge = Gauge(f"store_{name}", f"Of the stored documents: {name}.", **self._own)
            gauge.set_function(lambda name=name: getattr(store, name))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
