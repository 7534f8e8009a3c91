"""Check that no query text stands in sets of two roles."""

from pathlib import Path

from headrank.collections.query_sets import check_disjoint
from headrank.io.files import read_jsonl, write_json
from headrank.workflow.script import run_job


def main(queries: list[str], sets: dict[str, str], target: str) -> None:
    """Write each role's sets and their sizes; an overlap is an error."""
    roles: dict[str, dict[str, dict[str, str]]] = {}
    for path in queries:
        name = Path(path).parent.name
        texts = {record["query_id"]: record["text"] for _, record in read_jsonl(path)}
        roles.setdefault(sets[name], {})[name] = texts
    check_disjoint(roles)
    write_json(
        target,
        {
            role: {name: len(texts) for name, texts in found.items()}
            for role, found in roles.items()
        },
    )


if __name__ == "__main__":
    run_job(main, snakemake)
