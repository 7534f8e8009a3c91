"""What a ranking costs: seconds, tokens and prefills a list.

Wall time says little on a shared machine, so a CPU is measured by the time its cores
worked for this process (user and system, all threads), and systems take turns in one
process, in alternating order: what disturbs one disturbs all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from headrank.data.candidates import CandidateList
from headrank.errors import HeadRankError

Clock = Callable[[], float]
"""Seconds since any moment: ``time.process_time`` is user plus system time of all threads."""


@dataclass(frozen=True)
class Work:
    """What a system did for one list.

    Attributes:
        passes: prompts that were prefilled.
        tokens: read and written, over all passes.
        malformed: generated answers that have not the form asked for.
        layers: of the decoder that were computed; None for systems that have none.
    """

    passes: int = 0
    tokens: int = 0
    malformed: int = 0
    layers: int | None = None


System = Callable[[CandidateList], Work]


def alternate(
    tasks: Mapping[str, Callable[[], object]], rounds: int, clock: Clock = time.process_time
) -> dict[str, np.ndarray]:
    """Return ``[rounds]`` seconds of each task; every other round runs them in reverse.

    One round before the first is not counted: it fills caches and allocates.

    Raises:
        HeadRankError: no round to measure.
    """
    if rounds < 1:
        raise HeadRankError(f"rounds is {rounds}; measure at least 1")
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        names = list(tasks) if number % 2 else list(reversed(tasks))
        for name in names:
            start = clock()
            tasks[name]()
            if number:
                taken[name].append(clock() - start)
    return {name: np.array(values) for name, values in taken.items()}


def ratio(times: Mapping[str, np.ndarray], task: str, reference: str) -> tuple[float, float, float]:
    """Return median, lowest and highest of the rounds' ratios of one task to another."""
    ratios = times[task] / times[reference]
    return float(np.median(ratios)), float(ratios.min()), float(ratios.max())


def costs(
    systems: Mapping[str, System],
    lists: Iterable[CandidateList],
    rounds: int,
    clock: Clock = time.process_time,
) -> pd.DataFrame:
    """Return one row a system, list and round: method, query, round, seconds and its work.

    Systems take turns on each list, in alternating order.
    """
    return pd.DataFrame(_costs(systems, lists, rounds, clock))


def _costs(
    systems: Mapping[str, System], lists: Iterable[CandidateList], rounds: int, clock: Clock
) -> Iterator[dict]:
    for candidates in lists:
        works: dict[str, Work] = {}
        tasks = {name: _task(system, candidates, works, name) for name, system in systems.items()}
        for name, values in alternate(tasks, rounds, clock).items():
            for number, value in enumerate(values):
                yield {
                    "method": name,
                    "query": candidates.query_id,
                    "documents": len(candidates.doc_ids),
                    "round": number,
                    "seconds": value,
                    "passes": works[name].passes,
                    "tokens": works[name].tokens,
                    "malformed": works[name].malformed,
                    "layers": works[name].layers,
                }


def _task(
    system: System, candidates: CandidateList, works: dict[str, Work], name: str
) -> Callable[[], None]:
    def run() -> None:
        works[name] = system(candidates)

    return run


def per_list(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a method: means over lists of the median seconds and of the work.

    Columns method, lists, rounds, seconds, low, high (fastest and slowest list), passes,
    tokens, malformed, layers.
    """
    # Costs of a first stage alone, or of an earlier version, have no such column.
    table = table if "layers" in table else table.assign(layers=float("nan"))
    medians = (
        table.groupby(["method", "query"], sort=False)
        .agg(
            seconds=("seconds", "median"),
            rounds=("round", "nunique"),
            passes=("passes", "first"),
            tokens=("tokens", "first"),
            malformed=("malformed", "first"),
            layers=("layers", "first"),
        )
        .reset_index()
    )
    return (
        medians.groupby("method", sort=False)
        .agg(
            lists=("query", "nunique"),
            rounds=("rounds", "max"),
            low=("seconds", "min"),
            high=("seconds", "max"),
            seconds=("seconds", "mean"),
            passes=("passes", "mean"),
            tokens=("tokens", "mean"),
            malformed=("malformed", "mean"),
            layers=("layers", "first"),
        )
        .reset_index()
    )
