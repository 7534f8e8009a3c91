"""Roles of query sets: which queries are tested on, which heads and adapters may see.

``evaluation`` is seen by nothing that selects or trains. ``profiling`` selects heads,
``alignment`` trains adapters, ``profiling+alignment`` does both. An alignment set that a
recipe validates on has a role of its own, ``validation``, and shares no query with the
sets that are trained on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from headrank.workflow.config.causes import Unknown

# A query that stands in sets of two roles is dropped from the later one: evaluation loses
# none, and the labelled queries that train are worth more than those that validate.
ROLES = ("evaluation", "profiling+alignment", "profiling", "alignment", "validation")
PROFILING = ("profiling", "profiling+alignment")
ALIGNMENT = ("alignment", "profiling+alignment")


def roles(config: Mapping) -> dict[str, str]:
    """Return ``{set: role}`` of every declared set, ``validation`` told from ``alignment``."""
    validation = {recipe["validation"] for recipe in config["alignments"].values()}
    return {
        name: "validation" if name in validation and entry["role"] == "alignment" else entry["role"]
        for name, entry in config["sets"].items()
    }


def roles_before(role: str) -> tuple[str, ...]:
    """Return the roles whose queries a set of this role may not hold and gives up."""
    return ROLES[: ROLES.index(role)]


def sets_with(config: Mapping, allowed: tuple[str, ...]) -> list[str]:
    """Return the declared sets of some roles, sorted."""
    return sorted(name for name, entry in config["sets"].items() if entry["role"] in allowed)


def set_problems(config: Mapping) -> Iterator[str]:
    """Yield what is wrong with sets: an unknown collection, or slices that two roles share."""
    sets, found = config["sets"], roles(config)
    for name, entry in sets.items():
        if entry["collection"] not in config["collections"]:
            path, known = f"sets.{name}.collection", sorted(config["collections"])
            yield Unknown(path, entry["collection"], known, "collections")
    if config["candidates"] > config["first_stage"]["depth"]:
        yield (
            f"candidates is {config['candidates']}; allowed: at most first_stage.depth, "
            f"{config['first_stage']['depth']}"
        )
    for (first, one), (second, other) in itertools.combinations(sets.items(), 2):
        same = (one["collection"], one["split"]) == (other["collection"], other["split"])
        if same and found[first] != found[second] and _slices_meet(one, other):
            yield (
                f"sets.{second} ({found[second]}) takes queries {_slice(other)} of "
                f"{one['collection']}'s split {one['split']!r} and sets.{first} ({found[first]}) "
                f"takes {_slice(one)} of pool {one['pool']!r}; allowed: slices of one pool that "
                "do not meet (change `skip`, `take` or `split`, or let one set of role "
                "profiling+alignment serve both)"
            )


def validation_problems(config: Mapping) -> Iterator[str]:
    """Yield what is wrong with the sets that recipes validate on."""
    allowed = sets_with(config, ("alignment",))
    training = {
        training: name
        for name, recipe in reversed(config["alignments"].items())
        for training in recipe["training"]
    }
    for name, recipe in config["alignments"].items():
        path, held_out = f"alignments.{name}.validation", recipe["validation"]
        if held_out not in allowed:
            yield Unknown(path, held_out, allowed, "sets")
        elif held_out in recipe["training"]:
            yield (
                f"{path} is {held_out!r}, a set it trains on; allowed: another set of role "
                "alignment"
            )
        elif held_out in training:
            yield (
                f"{path} is {held_out!r}, which alignments.{training[held_out]} trains on; "
                "allowed: a set that none trains on"
            )


def _slices_meet(one: Mapping, other: Mapping) -> bool:
    """Return whether two slices of one seeded permutation may share a query.

    Different pools are permuted differently, so nothing can be said about their slices.
    """
    if one["pool"] != other["pool"]:
        return True
    ends = [float("inf") if s["take"] is None else s["skip"] + s["take"] for s in (one, other)]
    return one["skip"] < ends[1] and other["skip"] < ends[0]


def _slice(entry: Mapping) -> str:
    end = "the end" if entry["take"] is None else str(entry["skip"] + entry["take"])
    return f"{entry['skip']} to {end}"
