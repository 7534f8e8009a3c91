"""The one thread that reads: jobs in the order they came, dropped while they have not begun."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from headrank.data.candidates import CandidateList
from headrank.errors import HeadRankError, Unfit
from headrank.models.devices import OutOfMemory
from headrank.ranker.ranking import RankedPassage

_WEIGHT = 0.2  # of the newest job in the running mean of seconds


class Ranker(Protocol):
    """What is served: ``HeadRanker``, or anything that ranks lists as it does."""

    def work(self, candidates: CandidateList) -> tuple[int, int]:
        """Return prompts and tokens of a list; refuse one that cannot be read."""

    def rerank_lists(
        self, lists: Iterable[CandidateList], *, batch: int = 1
    ) -> Iterator[list[RankedPassage]]:
        """Yield each list's ranking."""


class RefusedList(HeadRankError):
    """A list that the ranker cannot read, whatever its state; the asker can mend it."""


@dataclass(frozen=True)
class Answer:
    """A ranking and what it cost.

    Attributes:
        tokens: that were read, query included.
        waited, read: seconds in the queue, and from the first token to the last score.
    """

    ranking: list[RankedPassage]
    tokens: int
    waited: float
    read: float


@dataclass(eq=False)
class Job:
    """One list to rank.

    Attributes:
        prompts, tokens: of the list, once the worker has looked at it.
    """

    candidates: CandidateList
    answer: Future[Answer] = field(default_factory=Future)
    asked: float = field(default_factory=time.monotonic)
    prompts: int = 0
    tokens: int = 0


class Worker:
    """One thread, one model: reading never stands in the way of what else the process does.

    Attributes:
        batch_tokens: see ``Limits``.
        seconds: running mean of what a job took; 0 before the first.
    """

    def __init__(self, ranker: Ranker, batch_tokens: int = 0) -> None:
        self.ranker, self.batch_tokens, self.seconds = ranker, batch_tokens, 0.0
        self._jobs: deque[Job] = deque()
        self._change = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="headrank-worker", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Return how many jobs have not begun."""
        return len(self._jobs)

    @property
    def alive(self) -> bool:
        """Return whether jobs will be done."""
        return self._thread.is_alive() and not self._stopped

    def submit(self, candidates: CandidateList) -> Job:
        """Return the job of a list; its ``answer`` is set by the worker."""
        job = Job(candidates)
        with self._change:
            self._jobs.append(job)
            self._change.notify()
        return job

    def drop(self, job: Job) -> bool:
        """Forget a job; return False if it has begun: then it is finished for nobody."""
        with self._change:
            if job not in self._jobs:
                return False
            self._jobs.remove(job)
        job.answer.cancel()
        return True

    def stop(self, timeout: float) -> bool:
        """Drop what waits, let what runs finish; return whether it did within these seconds."""
        with self._change:
            self._stopped = True
            while self._jobs:
                self._jobs.popleft().answer.cancel()
            self._change.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._next(wait=True)) is not None:
            if not self._looked_at(job):
                continue
            self._read([job, *self._beside(job)])

    def _next(self, wait: bool = False) -> Job | None:
        """Return the job that waits longest, marked as running; None if there is none."""
        with self._change:
            while wait and not self._jobs and not self._stopped:
                self._change.wait()
            return self._jobs.popleft() if self._jobs else None

    def _looked_at(self, job: Job) -> bool:
        """Note a job's tokens; answer one that cannot be read, and return False."""
        if job.tokens:
            return True
        try:
            job.prompts, job.tokens = self.ranker.work(job.candidates)
        except HeadRankError as error:
            told = error.request if isinstance(error, Unfit) else str(error)
            job.answer.set_exception(RefusedList(told))
        except BaseException as error:
            job.answer.set_exception(error)
        return bool(job.tokens)

    def _beside(self, first: Job) -> list[Job]:
        """Return the jobs behind the first that are read with it: none without a budget."""
        chosen: list[Job] = []
        longest, prompts = _longest(first), first.prompts
        while self.batch_tokens and (job := self._next()) is not None:
            if not self._looked_at(job):
                continue
            longest, prompts = max(longest, _longest(job)), prompts + job.prompts
            if longest * prompts > self.batch_tokens:
                with self._change:
                    self._jobs.appendleft(job)
                break
            chosen.append(job)
        return chosen

    def _read(self, jobs: list[Job]) -> None:
        """Answer jobs side by side; if that fails, one by one: none fails for another's sake."""
        begun = time.monotonic()
        batch = max(1, self.batch_tokens // max(map(_longest, jobs)))
        rankings = None
        try:
            rankings = list(self.ranker.rerank_lists([job.candidates for job in jobs], batch=batch))
        except BaseException as error:
            if len(jobs) == 1:
                if isinstance(error, OutOfMemory):
                    # Its frames hold what the pass took, for as long as the error is kept.
                    error.__context__ = error.__traceback__ = None
                jobs[0].answer.set_exception(error)
                return
        if rankings is None:
            # Only here: while the error is handled, it holds the memory of the pass.
            for job in jobs:
                self._read([job])
            return
        read = time.monotonic() - begun
        share = read / len(jobs)
        self.seconds = (
            share if not self.seconds else self.seconds + _WEIGHT * (share - self.seconds)
        )
        for job, ranking in zip(jobs, rankings, strict=True):
            job.answer.set_result(Answer(ranking, job.tokens, begun - job.asked, read))


def _longest(job: Job) -> int:
    """Return about the tokens of a job's longest prompt: windows are alike by design."""
    return -(-job.tokens // job.prompts)
