"""Names of methods as tables and figures print them, and the groups they stand in."""

from __future__ import annotations

from collections.abc import Collection, Mapping

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
"""Known methods; any other keeps the name that the config gives it."""

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
