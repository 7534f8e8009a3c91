"""One correction of how Snakemake plans, which `ancient` inputs need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def look_behind_ancient(dag: type) -> None:
    """Let Snakemake ask each job behind an `ancient` input for reasons of its own.

    Snakemake (9.27) asks no job that follows one that will run: it takes it for granted that such a
    job runs, too. Behind inputs that are all `ancient` it does not run, so what else changed (its
    parameters, its other inputs) would be seen by the next call alone, and this one would end well
    with old results.

    Args:
        dag: the class ``snakemake.dag.DAG``.
    """
    if getattr(dag.bfs, "looks_behind_ancient", False):
        return
    whole = dag.bfs

    def bfs(self: Any, direction: Any, *jobs: Any, **options: Any) -> Iterator[Any]:
        # Of the two searches for what follows, `--omit-from` means every job.
        if direction is self.depending and not (self.omitfiles or self.omitrules):
            direction = _Changing(direction)
        return whole(self, direction, *jobs, **options)

    bfs.looks_behind_ancient = True  # type: ignore[attr-defined]
    dag.bfs = bfs


class _Changing:
    """The jobs that follow a job by an input whose time counts."""

    def __init__(self, depending: Any) -> None:
        self.depending = depending

    def __getitem__(self, job: Any) -> dict:
        return {
            follower: files
            for follower, files in self.depending[job].items()
            if not all(file.is_ancient for file in files)
        }
