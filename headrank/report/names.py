"""Names of methods as tables and figures print them, and the groups they stand in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

NAMES = {
    "bm25": "BM25",
    "minilm": "MiniLM",
    "random": "Random",
    "all-raw": "All heads, raw",
    "icr": "ICR",
    "qrhead": "QRHead",
    "core": "CoRe",
    "headrank": "HeadRank",
    "headrank-untuned": "HeadRank, untuned",
    "listwise": "Listwise generation",
    "pointwise": "Pointwise yes/no",
    "query-likelihood": "Query likelihood",
}
"""Known methods; any other keeps the name that the config gives it. ``headrank`` alone is the
family, and its heads; ``printed`` adds to a method whether the model was aligned."""

STORED = ".stored"
"""Behind the name of a method: it is timed behind documents that were encoded before."""

GROUPS = (
    "First stage",
    "Dense",
    "Cross-encoder",
    "Generative",
    "Training-free attention",
    "Aligned",
    "Fusions",
    "Controls",
)
"""Groups of methods, in the order of the main table."""

CONTROLS = GROUPS[-1]

# Kinds of methods that have a group of their own.
_OWN = {
    "first-stage": "First stage",
    "dense": "Dense",
    "cross-encoder": "Cross-encoder",
    "generative": "Generative",
}


def label(method: str, names: Mapping[str, str] | None = None) -> str:
    """Return the printed name of a method; ``a+b`` becomes ``A + B``.

    Args:
        names: printed names that replace or complete ``NAMES``.
    """
    known = NAMES | dict(names or {})
    if method in known:
        return known[method]
    return " + ".join(known.get(part, part) for part in method.split("+"))


def printed(
    methods: Mapping[str, Mapping[str, Any]], names: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return ``names`` completed, so that a HeadRank method has one name in every table.

    The same key may name aligned heads in one config and untuned ones in another, so the name
    comes from the method itself: ``HeadRank, aligned`` with an adapter, else ``HeadRank,
    untuned``. Of two methods that would print alike the later keeps its key in brackets.

    Args:
        methods: of the config, ``{method: its settings}``.
        names: printed names that the config gives; they win.
    """
    found = dict(names or {})
    taken = set(found.values())
    for method, settings in methods.items():
        usual = NAMES.get(method, "")
        if method in found or usual.partition(",")[0] != NAMES["headrank"]:
            continue
        name = f"{NAMES['headrank']}, {'aligned' if settings.get('adapter') else 'untuned'}"
        found[method] = f"{name} ({method})" if name in taken else name
        taken.add(name)
    return found


def group(
    method: str, adapter: str, kinds: Mapping[str, str], controls: Collection[str] = ()
) -> str:
    """Return the group of a method, one of ``GROUPS``.

    Args:
        adapter: ``-`` or ``none`` for a model as it came.
        kinds: ``{method: kind}`` of the config (``first-stage``, ``dense``,
            ``cross-encoder``, ``generative``, ``random`` or ``attention``); a method that is
            absent counts as attention.
        controls: methods that serve as controls although they have another kind.
    """
    kind = kinds.get(method, "attention")
    if method in controls or kind == "random":
        return CONTROLS
    if "+" in method:
        return "Fusions"
    if kind in _OWN:
        return _OWN[kind]
    return "Training-free attention" if adapter in ("-", "none") else "Aligned"
