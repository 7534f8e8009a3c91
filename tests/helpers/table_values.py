"""Results that tests print as tables: values of two sets, their layout, a significance."""

import pandas as pd

from headrank.report.tables.cells import Layout

KINDS = {"bm25": "first-stage", "minilm": "dense", "random": "random"}
VALUES = {  # (set, method, order): values of the queries
    ("a", "bm25", "-"): [0.2, 0.4],
    ("b", "bm25", "-"): [0.5, 0.5, 0.8],
    ("a", "random", "-"): [0.9, 1.0],
    ("b", "random", "-"): [0.1, 0.1, 0.1],
    ("a", "icr", "shuffled"): [0.1, 0.3],
    ("b", "icr", "shuffled"): [0.4, 0.4, 0.4],
    ("a", "icr", "reversed"): [0.3, 0.6],
    ("b", "icr", "reversed"): [0.5, 0.5, 0.5],
    ("a", "headrank", "shuffled"): [0.5, 0.7],
    ("b", "headrank", "shuffled"): [0.6, 0.9, 0.9],
    ("a", "headrank", "reversed"): [0.5, 0.6],
    ("b", "headrank", "reversed"): [0.6, 0.6, 0.6],
}
ADAPTERS = {"icr": "none", "headrank": "pairs-1"}


def per_query(model="m", measure="nDCG@10"):
    rows = []
    for (name, method, order), values in VALUES.items():
        free = order == "-"
        for number, value in enumerate(values):
            rows.append(
                {
                    "set": name,
                    "model": "-" if free else model,
                    "adapter": "-" if free else ADAPTERS[method],
                    "order": order,
                    "method": method,
                    "query": f"{name}{number}",
                    "measure": measure,
                    "value": value,
                }
            )
    return pd.DataFrame(rows)


def layout(**changes):
    usual = {
        "sets": ["a", "b"],
        "orders": ["shuffled", "reversed"],
        "methods": ["headrank", "icr", "bm25", "random"],
        "kinds": KINDS,
    }
    return Layout(**(usual | changes))


def significance(**changes):
    row = {
        "model": "m",
        "set": "a",
        "order": "shuffled",
        "measure": "nDCG@10",
        "system": "headrank",
        "baseline": "bm25",
        "n": 2,
        "mean_difference": 0.3,
        "p_holm": 0.01,
    }
    return row | changes


def by_label(table):
    return {row.cells[0].value: row for row in table.rows}
