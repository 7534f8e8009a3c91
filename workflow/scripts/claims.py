"""Write the ledger of the paper's claims: what this run measured of each."""

from pathlib import Path

import pandas as pd

from headrank.data.heads import HeadSet
from headrank.io.files import atomic, read_json, write_text
from headrank.report.claims.ledger import CLAIMS, judge
from headrank.report.claims.measures import Evidence, Setup
from headrank.report.tables.claims import TITLE, claims_tables, in_order, others_table, summary
from headrank.report.tables.formatting import success_rates
from headrank.report.tables.render import escape_markdown, to_page
from headrank.workflow.script import run_job


def main(
    per_query: str,
    middle: list[str],
    formatting: list[str],
    followed: list[str],
    cards: dict[str, list[str]],
    heads: dict[str, str],
    csv: str,
    md: str,
    html: str,
    setup: dict,
    command: str,
) -> None:
    """Write CSV, Markdown and a page.

    Args:
        followed: the models of ``middle``.
        cards, heads: files by model.
    """
    # An object store's files lie under a folder of their own.
    root = Path(per_query).parents[2]
    counts = [pd.read_csv(path) for path in formatting]
    selected = {model: HeadSet.load(root / path) for model, path in heads.items()}
    evidence = Evidence(
        pd.read_parquet(per_query),
        middle=dict(zip(followed, map(pd.read_csv, middle), strict=True)),
        formatting=success_rates(pd.concat(counts)) if counts else {},
        training={
            model: [
                (card["labelled_queries"], card["training_queries"])
                for card in (read_json(root / path) for path in paths)
            ]
            for model, paths in cards.items()
        },
        layers={
            model: (chosen.deepest + 1, chosen.provenance["layers"], len(chosen.heads))
            for model, chosen in selected.items()
        },
    )
    made = Setup(**setup)
    ledger = judge(CLAIMS, made, evidence).assign(command=command)
    judged = claims_tables(ledger, order=made.order, confidence=made.confidence, names=made.names)
    tables = [*in_order(ledger, *judged), others_table()]
    with atomic(csv) as temporary:
        ledger.to_csv(temporary, index=False)
    lead = summary(ledger)
    parts = (escape_markdown(lead) + "\n", *(table.markdown() for table in tables))
    write_text(md, "\n".join(parts))
    write_text(html, to_page(TITLE, tables, lead))


if __name__ == "__main__":
    run_job(main, snakemake)
