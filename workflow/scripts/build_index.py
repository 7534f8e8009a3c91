"""Index one collection for BM25."""

from pathlib import Path

from headrank.collections.collection import iter_documents, verify_collection
from headrank.collections.layout import CORPUS
from headrank.first_stage.bm25 import Bm25Index
from headrank.io.files import folder_of, sha256
from headrank.io.folders import INDEX, check_replaceable
from headrank.workflow.job import job_log


def main(folder: Path, target: str, k1: float, b: float, analyzer: str) -> None:
    """Write the index's folder; ``target`` is its index.json."""
    check_replaceable(Path(target).parent, INDEX)
    verify_collection(folder)
    documents = ((document.doc_id, document.contents) for document in iter_documents(folder))
    corpus = sha256(folder / CORPUS)
    index = Bm25Index.build(documents, k1=k1, b=b, corpus=corpus, analyzer=analyzer)
    index.save(Path(target).parent)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            folder_of(snakemake.input.collection[0]),
            snakemake.output[0],
            snakemake.params.k1,
            snakemake.params.b,
            snakemake.params.analyzer,
        )
