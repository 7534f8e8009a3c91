"""Which layout of the prompt a selection, a recipe or a method reads in.

``prompt.layout`` is the experiment's. A selection or a recipe may name another one; a method
follows its heads and its adapter, since both belong to the layout that they were made in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headrank.options.prompt import LAYOUTS, MARKERS, STORABLE

JOINT = "joint"
APART = tuple(name for name in LAYOUTS if name != JOINT)
"""Layouts whose scores no order of a list changes: such a list is read once."""


def default_layout(config: Mapping) -> str:
    """Return the experiment's layout."""
    return config.get("prompt", {}).get("layout", JOINT)


def selection_layout(config: Mapping, name: str) -> str:
    """Return the layout that a selection's profile is read in."""
    entry = config.get("selections", {}).get(name, {})
    return entry.get("layout", default_layout(config))


def recipe_layout(config: Mapping, name: str) -> str:
    """Return the layout that a recipe trains and validates in: by default its heads'."""
    recipe = config["alignments"][name]
    return recipe.get("layout") or selection_layout(config, recipe["selection"])


def trained_layouts(config: Mapping, recipe: str) -> tuple[str, ...]:
    """Return the layouts that a recipe's adapters serve, its own first."""
    own = recipe_layout(config, recipe)
    both = config["alignments"][recipe].get("options", {}).get("both_layouts")
    return (own, "block" if own == JOINT else JOINT) if both else (own,)


def method_layout(config: Mapping, name: str) -> str:
    """Return the layout that an attention method reads in."""
    method = config["methods"][name]
    if "layout" in method:
        return method["layout"]
    if method.get("adapter") in config["alignments"]:
        return recipe_layout(config, method["adapter"])
    if method["heads"] != "all":
        return selection_layout(config, method["heads"])
    return default_layout(config)


def layers_read(config: Mapping, layout: str) -> int | None:
    """Return how many layers readings of a layout need without an adapter; None for all.

    What the config declares decides, used or not: naming one more method then reads nothing again.
    """
    methods, selections = config["methods"], config["selections"]
    attention = [name for name, method in methods.items() if method["kind"] == "attention"]
    for name in attention:
        if methods[name]["heads"] == "all" and method_layout(config, name) == layout:
            return None
    used = [name for name in selections if selection_layout(config, name) == layout]
    # Heads of an adapter that serves both layouts are compared with the unaligned model in both.
    for name, recipe in config["alignments"].items():
        if recipe["selection"] in selections and layout in trained_layouts(config, name):
            used.append(recipe["selection"])
    bounds = [selections[name]["layers"] for name in used]
    if not bounds or None in bounds:
        return None
    return max(last for _, last in bounds) + 1


def prompt_in(config: Mapping, layout: str) -> dict[str, Any]:
    """Return the experiment's prompt in a layout: that layout's own marker and offset, if need be.

    What the config says of the prompt stays as it is where the layout is the experiment's.
    """
    own = dict(config["prompt"])
    if layout == default_layout(config):
        return own
    if own.get("marker") == MARKERS[default_layout(config)]:
        del own["marker"]
    if layout == JOINT:
        own.pop("query_offset", None)
    return own | {"layout": layout}


def read_as(layout: str, order: str) -> str:
    """Return what a reading is named by: its order, or a layout that no order changes."""
    return order if layout == JOINT else layout


def layout_problems(config: Mapping) -> Iterator[str]:
    """Yield recipes and methods whose layout is not that of their heads or adapter."""
    for name, recipe in config["alignments"].items():
        selection = recipe["selection"]
        if selection not in config["selections"]:
            continue
        made, read = selection_layout(config, selection), recipe_layout(config, name)
        if made != read:
            yield _other(f"alignments.{name}.layout", read, made, f"selection {selection}")
        if recipe["options"]["tokens"] == "query":
            yield from _seen_by_all(config, name)
    for name, method in config["methods"].items():
        if method["kind"] != "attention":
            continue
        read = method_layout(config, name)
        if method.get("adapter") in config["alignments"]:
            recipe = method["adapter"]
            if read in trained_layouts(config, recipe):
                yield from _reselected(config, name)
                continue
            made, of = recipe_layout(config, recipe), f"adapter {recipe}"
        elif method["heads"] in config["selections"]:
            made, of = selection_layout(config, method["heads"]), f"selection {method['heads']}"
        else:
            continue
        if made != read:
            yield _other(f"methods.{name}.layout", read, made, of)


def _seen_by_all(config: Mapping, name: str) -> Iterator[str]:
    """Yield a recipe that leaves documents alone in a layout in which they see other text."""
    for layout in trained_layouts(config, name):
        if layout not in STORABLE:
            yield (
                f"alignments.{name}.options.tokens is 'query'; allowed: 'all' in layout {layout}, "
                f"or select heads of layout {' or '.join(STORABLE)} without both_layouts: only "
                "there are documents read without the query"
            )


def _reselected(config: Mapping, name: str) -> Iterator[str]:
    """Yield a method that selects its heads anew in a layout that only its training had."""
    own = recipe_layout(config, config["methods"][name]["adapter"])
    if config["methods"][name]["reselect"] and method_layout(config, name) != own:
        yield (
            f"methods.{name}.reselect is true; allowed: false in layout "
            f"{method_layout(config, name)}, since the adapter's own layout, in which heads are "
            f"selected again, is {own}"
        )


def _other(path: str, read: str, made: str, of: str) -> str:
    part, _, name = of.partition(" ")
    group = "alignments" if part == "adapter" else "selections"
    return (
        f"{path} is {read!r}; allowed: {made!r}, the layout of {of}; heads and adapters belong to "
        f"a layout, so name others, or set {group}.{name}.layout"
    )
