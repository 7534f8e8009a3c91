"""Tables of an experiment, each as CSV, GitHub Markdown and LaTeX."""

from headrank.report.tables.breakdown import measure_table, order_table
from headrank.report.tables.cells import Layout, average_seeds, cell_means
from headrank.report.tables.formatting import formatting_counts, formatting_table, success_rates
from headrank.report.tables.heads_and_training import (
    ablation_table,
    head_table,
    pairs_table,
    seeds_table,
)
from headrank.report.tables.main import main_table
from headrank.report.tables.position import homogenisation_table, middle_table
from headrank.report.tables.significance import significance_table
from headrank.report.tables.table import Cell, Column, Row, Table, emphasise, from_frame

__all__ = [
    "Cell",
    "Column",
    "Layout",
    "Row",
    "Table",
    "ablation_table",
    "average_seeds",
    "cell_means",
    "emphasise",
    "formatting_counts",
    "formatting_table",
    "from_frame",
    "head_table",
    "homogenisation_table",
    "main_table",
    "measure_table",
    "middle_table",
    "order_table",
    "pairs_table",
    "seeds_table",
    "significance_table",
    "success_rates",
]
