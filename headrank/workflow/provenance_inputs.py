"""What the manifest and the runs' metadata take from an experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrank.errors import HeadRankError
from headrank.workflow.claimed import claim_files
from headrank.workflow.ending import Shown, ending
from headrank.workflow.experiment import Cell, Experiment
from headrank.workflow.products import product_files
from headrank.workflow.provenance.run_metadata import metadata_path
from headrank.workflow.studies import evaluation_files
from headrank.workflow.timed import stored_of


class ProvenanceInputs:
    """Files that tell what an experiment's results were made with.

    Args:
        root: folder of the Snakefile.
        configfiles: those of the command line.
    """

    def __init__(self, experiment: Experiment, root: Path, configfiles: Sequence[Path]) -> None:
        self._x = experiment
        self._root = root
        self._configfiles = configfiles

    def command(self, *targets: str) -> str:
        """Return the call that makes some targets, without a path of this machine."""
        files = [Path(path).resolve() for path in self._configfiles]
        names = [
            path.relative_to(self._root).as_posix()
            if path.is_relative_to(self._root)
            else path.name
            for path in files
        ]
        options = ["--configfile", *names] if names else []
        return " ".join(["snakemake", "--cores", "all", *targets, *options])

    def options(self, given: Mapping[str, object]) -> list[str]:
        """Return options with which another Snakemake plans what this one does.

        Args:
            given: keys of the config that the command line sets.
        """
        files = [str(Path(path).resolve()) for path in self._configfiles]
        keys = [f"{key}={json.dumps(value)}" for key, value in given.items()]
        return [
            *("--snakefile", str(self._root / "Snakefile"), "--directory", ".", "--quiet", "all"),
            *(["--configfile", *files] if files else []),
            *(["--config", *keys] if keys else []),
        ]

    def cells(self, name: str | None = None) -> list[Cell]:
        """Return the runs of a set; by default of all sets."""
        return [cell for cell in self._x.cells if name is None or cell[0] == name]

    def runs(self, name: str | None = None) -> list[str]:
        """Return the paths of a set's runs."""
        return [self._x.run_of(cell) for cell in self.cells(name)]

    def metadata(self, name: str | None = None) -> list[str]:
        """Return the metadata beside a set's runs; all sets have the same cells, `{set}` too."""
        if name is None:
            return [metadata_path(run) for run in self.runs()]
        return [
            metadata_path(self._x.run_of((name, *cell))) for _, *cell in self.cells(self._x.sets[0])
        ]

    def made_from(self, name: str | None = None) -> list[str]:
        """Return what the runs of a set were made from, each once."""
        found = (path for cell in self.cells(name) for path in self._x.made_from(cell))
        return list(dict.fromkeys(found))

    def cards(self) -> dict[str, list[str]]:
        """Return the cards of the models and collections that the experiment uses."""
        x = self._x
        return {
            "models": [path for name in x.used_models() for path in x.model_part(name)],
            "collections": [
                path
                for name in x.used_collections()
                for path in x.collection_part(name, "collection.json")
            ],
        }

    def adapters(self) -> list[str]:
        """Return the cards of the adapters that runs were made with."""
        used = {cell[1:3] for cell in self._x.cells if cell[2] not in ("-", "none")}
        return sorted(self._x.adapter_file(model, adapter) for model, adapter in used)

    def sets(self) -> list[str]:
        """Return every file of the sets that the experiment uses."""
        return [path for name in self._x.used_roles() for path in self._x.set_files(name).values()]

    def queries(self) -> list[str]:
        """Return the queries of each run's set."""
        return [self._x.set_files(cell[0])["queries"] for cell in self._x.cells]

    def shown(self) -> list[str]:
        """Return what the report shows.

        Raises:
            HeadRankError: the results lie in an object store.
        """
        if self._x.stored:
            raise HeadRankError(
                "report: results lie in an object store; `snakemake --report report.html` with "
                "the same profile and config brings them here"
            )
        return self.results()

    def ending(self, started: float) -> str | None:
        """Return the main table, the tests' outcome and where the report is.

        Nothing if the run that began at ``started`` (seconds since the epoch) did not finish
        the results, or where they lie in an object store.
        """
        x = self._x
        try:
            finished = Path(x.results, "manifest.json").stat().st_mtime >= started
        except FileNotFoundError:
            return None
        if not finished or x.stored:
            return None
        shown = Shown(
            methods=x.methods,
            sets=x.sets,
            order=x.report_order,
            measure=x.config["evaluation"]["main"],
            alpha=x.report["alpha"],
            names=x.report["names"],
        )
        stored = {model: stored_of(x, model) for model in x.model_names if x.reads}
        return ending(x.results, shown, self.command("report"), stored)

    def results(self) -> list[str]:
        """Return evaluation, tables, figures and claims of a run without a target."""
        x = self._x
        return [*evaluation_files(x), *claim_files(x), *product_files(x)]
