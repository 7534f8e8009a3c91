"""The user's own files: checked at the start, hashed, and told apart split by split."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from headrank.collections.layout import CORPUS
from headrank.collections.splits import Splits, shares_a_query, splits
from headrank.errors import HeadRankError
from headrank.io.files import json_sha256
from headrank.io.texts import local_path
from headrank.workflow.config.roles import ROLES, roles_before
from headrank.workflow.config.shown import other_first_stages
from headrank.workflow.experiment import Experiment
from headrank.workflow.provenance.originals import (
    Hashes,
    Original,
    check_originals,
    noted,
    originals,
    replaced_originals,
)
from headrank.workflow.source_files import COLLECTION_FILES


class OwnFiles:
    """Models, collections and runs that a config names on this machine.

    An object store's times are those of the upload, so there they tell enough and nothing is
    hashed.

    Args:
        hashes: known SHA-256 of files; kept in a file of their own.
        build: digest of the code that builds collections.
    """

    def __init__(self, experiment: Experiment, hashes: Hashes, build: str) -> None:
        self._x = experiment
        self._hashes = hashes
        self._build = build

    def files(self, *keys: str) -> dict[str, Any] | None:
        """Return the user's files named under these keys of the config, with their hashes."""
        x = self._x
        found = [one for one in originals(x.config, x.weights, x.collections) if one.key in keys]
        return None if x.stored else (noted(found, self._hashes) or None)

    def of_model(self, wildcards: Any) -> dict[str, Any] | None:
        """Return the user's files that a model or encoder is made from."""
        groups = ("models", "encoders")
        return self.files(*(f"{group}.{wildcards.model}.source.path" for group in groups))

    def of_collection(self, wildcards: Any) -> dict[str, Any] | None:
        """Return the user's files that a collection is made from."""
        return self.files(f"collections.{wildcards.collection}.source.path")

    def of_run(self, wildcards: Any) -> dict[str, Any] | None:
        """Return the run that a split's candidates are imported from."""
        return self.files(f"collections.{wildcards.collection}.runs.{wildcards.split}")

    def of_results(self) -> dict[str, Any] | None:
        """Return all that the results are made from, for the manifest."""
        x = self._x
        found = originals(x.config, x.used_models(), x.used_collections())
        return self.files(*(one.key for one in found))

    def is_own(self, collection: str) -> bool:
        """Return whether a collection is a folder of the user's on this machine."""
        source = self._x.collections[collection]["source"]
        return not self._x.stored and source["kind"] == "local"

    @functools.cache  # noqa: B019  one object a run
    def splits(self, collection: str) -> Splits | None:
        """Return the queries of each split of a user's folder; None of others, or if faulty."""
        if not self.is_own(collection):
            return None
        return splits(local_path(self._x.collections[collection]["source"]["path"]))

    @functools.cache  # noqa: B019  one object a run
    def data_of(self, collection: str, split: str | None = None) -> str | None:
        """Return a digest of what a split is made from, or the corpus alone; None of others.

        The collection is made anew after any change of the folder, and with it its files'
        times: only this digest says whether a split has changed.
        """
        if not self.is_own(collection):
            return None
        source = self._x.collections[collection]["source"]
        files = self.files(f"collections.{collection}.source.path")
        hashes = next(iter(files.values()))["sha256"]
        own = self.splits(collection)
        part = None
        if split is not None:
            part = hashes if own is None else own.digests.get(split)
        how = {key: value for key, value in source.items() if key != "path"}
        made = [hashes.get(CORPUS) or hashes.get(f"{CORPUS}.gz"), part, how, self._build]
        return hashlib.sha256(json_sha256(made).encode()).hexdigest()[:16]

    def data_of_set(self, wildcards: Any) -> str | None:
        """Return the digest of a set's split."""
        entry = self._x.declared_sets[wildcards.set]
        return self.data_of(entry["collection"], entry["split"])

    def earlier_sets(self, wildcards: Any) -> list[str]:
        """Return the queries that this set may not hold: those of the roles before its own."""
        x = self._x
        earlier = x.sets_of(*roles_before(x.roles[wildcards.set]))
        return [
            x.set_files(name)["queries"] for name in earlier if self._may_share(name, wildcards.set)
        ]

    def _may_share(self, one: str, other: str) -> bool:
        """Return whether two sets may hold the same question; users' folders are read here."""
        sets = [self._x.declared_sets[name] for name in (one, other)]
        known = [(self.splits(entry["collection"]), entry["split"]) for entry in sets]
        if any(found is None for found, _ in known):
            return True
        return shares_a_query(*(found.texts.get(split, {}) for found, split in known))

    def _in_use(self) -> list[Original]:
        """Return what a job may ask for: used now, or made earlier.

        Snakemake takes a result whose source is gone for finished.
        """
        x = self._x
        made = {n for n in x.weights if Path(f"resources/models/{n}/headrank.json").exists()}
        kept = {
            name
            for name in x.collections
            if Path(f"resources/collections/{name}/collection.json").exists()
        }
        return originals(x.config, {*x.used_models(), *made}, {*x.used_collections(), *kept})

    def check(self) -> list[str]:
        """Return what a person should know of these files before any job starts.

        Raises:
            HeadRankError: a path that does not exist or is of the wrong kind; a split that is
                not there, or a slice of it that holds no query.
        """
        x = self._x
        if x.stored:
            if missing := list(self._missing_in_store()):
                raise HeadRankError("\n".join(missing))
            return []
        check_originals(self._in_use())
        found = list(size_problems(x.config, x.sets_of(*ROLES), self.splits))
        if refused := [message for wrong, message in found if wrong]:
            raise HeadRankError("\n".join(refused))
        told = [message for _, message in found]
        told += other_first_stages(x.config, x.own_run)
        now = noted(self._in_use(), self._hashes)
        if change := replaced_originals(f"{x.results}/manifest.json", now):
            told.append(change)
        self._hashes.save()
        return told

    def _missing_in_store(self) -> Iterator[str]:
        for one in self._in_use():
            # A folder of weights is asked for as a whole, and no list tells what it holds.
            if not (one.collection or one.file):
                continue
            names = COLLECTION_FILES if one.collection else ("",)
            for path in (f"{one.path}/{name}" if name else one.path for name in names):
                if not self._x.exists(path):
                    yield f"{one.key} is {one.path!r}, and there is no {path}; copy it to the store"


def size_problems(
    config: Mapping, names: Iterable[str], known: Callable[[str], Splits | None]
) -> Iterator[tuple[bool, str]]:
    """Yield what the user's folders cannot give that sets ask for: (whether refused, message).

    Args:
        names: sets of the experiment.
        known: a collection's splits; None where nothing is known before it is fetched.
    """
    for name in names:
        entry = config["sets"][name]
        found = known(entry["collection"])
        if found is None:
            continue
        split, take, skip = entry["split"], entry["take"], entry["skip"]
        if split not in found.texts:
            told = ", ".join(f"{s} ({len(q)} queries)" for s, q in sorted(found.texts.items()))
            yield True, f"sets.{name}.split is {split!r}; allowed: {told or 'none, no query'}"
        elif skip >= found.judged[split]:
            yield (
                True,
                f"sets.{name}.skip is {skip}; allowed: less than {found.judged[split]}, the "
                f"queries of split {split} with a relevant document",
            )
        elif take is not None and skip + take > found.judged[split]:
            most = found.judged[split] - skip
            yield (
                False,
                f"sets.{name}.take is {take}: {most} are taken at most, since split {split} has "
                f"{found.judged[split]} queries with a relevant document"
                + (f" and {skip} are skipped" if skip else ""),
            )
