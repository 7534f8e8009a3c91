"""The registry of tables and figures: one entry each.

An entry says which files a table or figure is made of, which function makes it, and what
an experiment must have for it. The rules of ``rules/report.smk`` are made of these
entries. Nothing here imports pandas or matplotlib: Snakemake reads the registry at each
start.
"""

from __future__ import annotations

from collections.abc import Iterator

from headrank.errors import HeadRankError
from headrank.workflow.experiment import Experiment
from headrank.workflow.products.figures import FIGURES
from headrank.workflow.products.product import Product
from headrank.workflow.products.tables import TABLES

__all__ = ["PRODUCTS", "Product", "product_files", "target_files", "targets"]

PRODUCTS = {product.rule: product for product in (*TABLES, *FIGURES)}
"""Every table and figure by the name of its rule."""


def targets() -> list[str]:
    """Return the names of all targets: ``table_...`` and ``figure_...``."""
    return list(dict.fromkeys(product.target for product in PRODUCTS.values()))


def target_files(experiment: Experiment, target: str) -> list[str]:
    """Return the files of one target.

    Raises:
        HeadRankError: the experiment lacks what the target needs; says what to add.
    """
    chosen = [product for product in PRODUCTS.values() if product.target == target]
    files = [path for product in chosen for path in product.files(experiment)]
    if not files:
        raise HeadRankError(f"{target}: {chosen[0].lacks(experiment)}")
    return files


def product_files(experiment: Experiment) -> Iterator[str]:
    """Yield the files of every table and figure of a run without a target."""
    for product in PRODUCTS.values():
        if product.wanted(experiment):
            yield from product.files(experiment)
