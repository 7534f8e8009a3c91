"""Write the ledger of the paper's claims: what this run measured of each."""

from pathlib import Path

import pandas as pd

from headrank.data.heads import HeadSet
from headrank.io.files import atomic, read_json, write_text
from headrank.report.claims.ledger import CLAIMS, judge
from headrank.report.claims.measures import Evidence, Setup
from headrank.report.tables.claims import claims_tables, others_table
from headrank.report.tables.formatting import success_rates
from headrank.workflow.job import job_log


def main(
    per_query: str,
    middle: dict[str, str],
    formatting: list[str],
    cards: dict[str, list[str]],
    heads: dict[str, str],
    target: str,
    printed: str,
    setup: dict,
    command: str,
) -> None:
    """Write CSV and Markdown; files are given by model."""
    counts = [pd.read_csv(path) for path in formatting]
    selected = {model: HeadSet.load(path) for model, path in heads.items()}
    evidence = Evidence(
        pd.read_parquet(per_query),
        middle={model: pd.read_csv(path) for model, path in middle.items()},
        formatting=success_rates(pd.concat(counts)) if counts else {},
        training={
            model: [
                (card["labelled_queries"], card["training_queries"])
                for card in map(read_json, paths)
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
    tables = [table for table in judged if table.rows] + [others_table()]
    with atomic(target) as temporary:
        ledger.to_csv(temporary, index=False)
    write_text(printed, "\n".join(table.markdown() for table in tables))


if __name__ == "__main__":
    # An object store's files lie under a folder of their own.
    root = Path(snakemake.input.per_query).parents[2]
    with job_log(snakemake.log[0]):
        main(
            snakemake.input.per_query,
            dict(zip(snakemake.params.followed, snakemake.input.middle, strict=True)),
            list(snakemake.input.formatting),
            {
                model: [str(root / path) for path in paths]
                for model, paths in snakemake.params.cards.items()
            },
            {model: str(root / path) for model, path in snakemake.params.heads.items()},
            snakemake.output.csv,
            snakemake.output.md,
            snakemake.params.setup,
            snakemake.params.command,
        )
