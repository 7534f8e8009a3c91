"""Index one collection for BM25."""

from headrank.collections.collection import iter_documents, verify_collection
from headrank.collections.layout import CORPUS
from headrank.first_stage.bm25 import Bm25Index
from headrank.io.files import sha256
from headrank.io.folders import INDEX, check_replaceable
from headrank.workflow.script import Folder, run_job


def main(collection: Folder, target: Folder, k1: float, b: float, analyzer: str) -> None:
    """Write the index's folder."""
    check_replaceable(target, INDEX)
    verify_collection(collection)
    documents = ((document.doc_id, document.contents) for document in iter_documents(collection))
    corpus = sha256(collection / CORPUS)
    index = Bm25Index.build(documents, k1=k1, b=b, corpus=corpus, analyzer=analyzer)
    index.save(target)


if __name__ == "__main__":
    run_job(main, snakemake)
