"""Packages that only a part of HeadRank needs: which extra brings each, and what to say without.

Nothing is imported to look for them. The requirements are those of ``pyproject.toml``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from headrank.errors import HeadRankError

EXTRAS: Mapping[str, Mapping[str, str]] = {
    "align": {"peft": "peft>=0.21", "pytrec_eval": "pytrec-eval-terrier>=0.5.11"},
    "evaluation": {
        "pytrec_eval": "pytrec-eval-terrier>=0.5.11",
        "pyarrow": "pyarrow>=20",
        "scipy": "scipy>=1.14",
    },
    "retrieval": {
        "bm25s": "bm25s>=0.3",
        "nltk": "nltk>=3.9",
        "numba": "numba>=0.61",
        "regex": "regex",
        "scipy": "scipy>=1.14",
    },
    "gguf": {"gguf": "gguf>=0.17"},
    "parquet": {"pyarrow": "pyarrow>=20"},
    "serve": {
        "fastapi": "fastapi>=0.165",
        "uvicorn": "uvicorn>=0.54",
        "prometheus_client": "prometheus-client>=0.26",
    },
    "sources": {
        "filelock": "filelock>=3.16",
        "ir_datasets": "ir_datasets>=0.6.3",
        "pyarrow": "pyarrow>=20",
    },
    "pyterrier": {"pyterrier": "pyterrier>=1.1"},
    "langchain": {"langchain_core": "langchain-core>=1.0"},
}
"""``{extra: {module: requirement}}``, without what HeadRank itself requires."""


class MissingPackage(HeadRankError, ModuleNotFoundError):
    """A package that an extra brings is not installed."""


def need(extra: str, what: str, *modules: str) -> None:
    """Refuse what cannot work without an extra's packages, before any of them is imported.

    Args:
        what: needs them, as a sentence begins: "`headrank align`".
        modules: those that it needs of the extra; by default all.

    Raises:
        MissingPackage: names what is missing, the command that installs it and the extra.
    """
    absent = [name for name in modules or EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if absent:
        raise missing(extra, what, *absent)


def missing(extra: str, what: str, *modules: str) -> MissingPackage:
    """Return the error for modules of an extra that are not installed."""
    wanted = [EXTRAS[extra][name] for name in modules]
    *before, last = [one.partition(">")[0] for one in wanted]
    names = f"{', '.join(before)} and {last}" if before else last
    several = bool(before)
    command = "pip install " + " ".join(f'"{one}"' if ">" in one else one for one in wanted)
    return MissingPackage(
        f"{what} needs the package{'s' if several else ''} {names}, which "
        f"{'are' if several else 'is'} not installed; run: {command} (HeadRank's extra {extra})",
        name=modules[0],
    )
