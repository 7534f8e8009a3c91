"""A table or a figure: its files, what makes it, and what an experiment must have for it."""

from __future__ import annotations

import importlib
import itertools
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrank.report import names as printed_names
from headrank.workflow.experiment import Experiment

Files = Mapping[str, str | list[str]]


@dataclass(frozen=True)
class Product:
    """A table or a figure.

    Attributes:
        target: what a user asks for: ``snakemake TARGET``. Several entries may share one.
        rule: name of the rule that makes it.
        function: ``module:name`` of what returns the ``Table`` or ``Figure``; it is called
            with the inputs and the options by name.
        stem: path below ``tables`` or ``figures`` without its ending, with wildcards.
        names: the values of each of the stem's wildcards that the experiment can fill; the
            combinations are its files. No value, no file.
        inputs: files by name, of the experiment and the wildcards.
        options: other arguments, of the experiment and the wildcards.
        lacks: what the experiment lacks where ``names`` gives nothing, and the remedy.
        caption: a file of ``workflow/report``, without its ending.
        label: what the report calls it, with ``{wildcards.NAME}``; the model is told beside it.
        wide: a table that has more than one number a cell is written in a wide form, too.
        wanted: whether a run without a target makes it; else it is made on request.
    """

    target: str
    rule: str
    function: str
    stem: str
    names: Callable[[Experiment], Mapping[str, list[str]] | None]
    inputs: Callable[[Experiment, Any], Files]
    options: Callable[[Experiment, Any], Mapping[str, Any]]
    lacks: Callable[[Experiment], str]
    caption: str
    label: str
    wide: bool = False
    wanted: Callable[[Experiment], object] = lambda x: True

    @property
    def kind(self) -> str:
        """``table`` or ``figure``."""
        return self.target.partition("_")[0]

    @property
    def module(self) -> Path:
        """The file of the function, below the folder that holds the package."""
        return Path(*self.function.partition(":")[0].split(".")).with_suffix(".py")

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of its files; the report shows the last one."""
        if self.kind == "figure":
            return (".pdf", ".png")
        return (".md", ".tex", ".csv", *(("-wide.csv",) if self.wide else ()), ".html")

    @property
    def message(self) -> str:
        """What a job of it says."""
        verb = "Draw" if self.kind == "figure" else "Tabulate"
        return f"{verb}: {self.label}" + (", {wildcards.model}" if self._of_a_model else "")

    @property
    def _of_a_model(self) -> bool:
        return "model" in self._wildcards()

    def labels(self, experiment: Experiment, wildcards: Any) -> dict[str, str]:
        """Return what the report lists a file under: what it is, and of which of several models.

        Snakemake's report shows one file of those whose labels are the same.
        """
        told = {self.kind: self.label.format(wildcards=wildcards)}
        if self._of_a_model and len(experiment.model_names) > 1:
            told["model"] = printed_names.label(wildcards.model, experiment.report["names"])
        return told

    def patterns(self, results: str) -> list[str]:
        """Return its files with wildcards; the report shows the last one."""
        return [f"{results}/{self.kind}s/{self.stem}{end}" for end in self.endings]

    def constraints(
        self, experiment: Experiment, one_of: Callable[[list[str]], str]
    ) -> dict[str, str]:
        """Return a regular expression for each wildcard: what the experiment can fill."""
        names = self.names(experiment) or {name: [] for name in self._wildcards()}
        return {name: one_of(values) for name, values in names.items()}

    def _wildcards(self) -> list[str]:
        return [name for _, name, _, _ in string.Formatter().parse(self.stem) if name]

    def stems(self, experiment: Experiment) -> list[str]:
        """Return the stems that an experiment can fill."""
        names = self.names(experiment)
        if names is None:
            return []
        return [
            self.stem.format(**dict(zip(names, values, strict=True)))
            for values in itertools.product(*names.values())
        ]

    def files(self, experiment: Experiment) -> list[str]:
        """Return the files that an experiment can fill."""
        return [
            f"{experiment.results}/{self.kind}s/{stem}{end}"
            for stem in self.stems(experiment)
            for end in self.endings
        ]

    def of(self, experiment: Experiment, wildcards: Any) -> str:
        """Return the printed names of what a file is of: its recipe and model, if it has some."""
        known = experiment.report["names"]
        said = (getattr(wildcards, name) for name in reversed(self._wildcards()))
        return ", ".join(printed_names.label(value, known) for value in said)

    def make(self, inputs: Files, options: Mapping[str, Any], of: str, target: Path) -> None:
        """Write the table or figure of these inputs beside ``target``, in all its forms.

        Args:
            of: what a table's title ends in.
        """
        module, _, name = self.function.partition(":")
        made = getattr(importlib.import_module(module), name)(**inputs, **options)
        if self.kind == "table":
            title = f"{made.title}, {of}" if of else made.title
            replace(made, title=title).save(target)
            return
        from headrank.report.figures.style import save

        save(made, target)
