"""A user's folder of a collection with three splits, one query of which is asked twice."""

from pathlib import Path

FILES = {
    "corpus.jsonl": '{"doc_id": "d1", "text": "one"}\n',
    "queries.jsonl": (
        '{"query_id": "a", "text": "What is  bread?"}\n'
        '{"query_id": "b", "text": "Where?", "split": "test"}\n'
        '{"query_id": "t", "text": "what IS bread?", "split": "train"}\n'
        '{"query_id": 7, "text": "seven", "split": "dev"}\n'
    ),
    "qrels.tsv": "a 0 d1 2\nb 0 d1 0\nt 0 d1 1\n7 0 d1 1\n",
}


def written(folder: Path) -> Path:
    """Make the folder with its files; return it."""
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder
