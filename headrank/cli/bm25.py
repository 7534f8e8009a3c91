"""``headrank bm25``: the first stage of a collection."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from headrank.cli.options import collection_files, number, whole
from headrank.errors import HeadRankError
from headrank.io.extras import need

if TYPE_CHECKING:
    from headrank.data.trec import Run
    from headrank.first_stage.bm25 import Bm25Index

# Written out, so that `headrank --help` imports nothing; a test holds them against the library.
ANALYZERS = ("lucene-english", "unicode")
STEMS = ANALYZERS[:1]  # of them, those that need NLTK's stemmer

_DESCRIPTION = """\
Retrieve the best documents of each query of a collection by BM25 (Lucene's variant).

  headrank bm25 --collection DIR --split test -o bm25.run
"""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "bm25",
        help="retrieve candidates from a collection",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--collection",
        required=True,
        metavar="DIR",
        help="folder with corpus.jsonl, queries.jsonl, qrels.tsv",
    )
    parser.add_argument("--split", metavar="NAME", help="queries of this split (default: all)")
    parser.add_argument("--depth", type=whole(1), default=100, metavar="N", help="default: 100")
    parser.add_argument("--k1", type=number, default=0.9, metavar="X", help="default: 0.9")
    parser.add_argument("--b", type=number, default=0.4, metavar="X", help="default: 0.4")
    parser.add_argument(
        "--analyzer",
        choices=ANALYZERS,
        default=ANALYZERS[0],
        help="what makes terms of a text: lucene-english (default: English stopwords and stems), "
        "or unicode for other languages (the words of UAX #29 in lower case)",
    )
    parser.add_argument(
        "--index", metavar="DIR", help="keep the index here, or use the one that is here"
    )
    parser.add_argument("-o", "--output", default="-", metavar="RUN", help="default: stdout")
    return parser


def run(args: argparse.Namespace) -> None:
    """Index the collection, if need be, and write the run."""
    modules = ("bm25s", "numba", "regex", "scipy")
    need("retrieval", "`headrank bm25`", *modules, *(["nltk"] if args.analyzer in STEMS else []))
    from headrank.collections.collection import iter_documents, load_exclusions, load_queries
    from headrank.collections.layout import CORPUS, file_of
    from headrank.first_stage.bm25 import Bm25Index
    from headrank.io.files import sha256
    from headrank.io.folders import INDEX, check_replaceable
    from headrank.io.targets import check_output
    from headrank.io.texts import local_path

    check_output(args.output, collection_files(args.collection))
    if args.index is not None:
        args.index = local_path(args.index)
        if not (Path(args.index) / "index.json").is_file():
            check_replaceable(args.index, INDEX)
    queries = load_queries(args.collection, args.split)
    corpus = sha256(file_of(args.collection, CORPUS))
    if args.index is not None and (Path(args.index) / "index.json").is_file():
        index = Bm25Index.load(args.index)
        if index.corpus != corpus:
            raise HeadRankError(
                f"{args.index}: the index is of another corpus than {args.collection}; delete it "
                "or give another --index"
            )
        if index.analyzer != args.analyzer:
            raise HeadRankError(
                f"{args.index}: the index was built with --analyzer {index.analyzer}, not "
                f"{args.analyzer}; delete it or give another --index"
            )
        if (index.scorer.k1, index.scorer.b) != (args.k1, args.b):
            raise HeadRankError(
                f"{args.index}: the index was built with k1={index.scorer.k1}, "
                f"b={index.scorer.b}, not k1={args.k1}, b={args.b}; delete it or give another "
                "--index"
            )
    else:
        documents = ((d.doc_id, d.contents) for d in iter_documents(args.collection))
        index = Bm25Index.build(
            documents, args.k1, args.b, corpus, progress=not args.quiet, analyzer=args.analyzer
        )
        if args.index is not None:
            index.save(args.index)
    texts = {name: query.text for name, query in queries.items()}
    found = index.search(
        texts,
        args.depth,
        exclude=load_exclusions(args.collection),
        progress=not args.quiet,
    )
    tell_empty(index, texts, found)
    if args.output != "-":
        found.save(args.output)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        found.save(path)
        sys.stdout.write(path.read_text(encoding="utf-8"))


def tell_empty(index: Bm25Index, texts: Mapping[str, str], found: Run) -> None:
    """Say on stderr which queries the run lacks: a TREC file has no line for them."""
    empty = [name for name in texts if not found.rankings[name]]
    if not empty:
        return
    bare = len(index.without_terms({name: texts[name] for name in empty}))
    some = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
    remedy = "; for other languages than English: --analyzer unicode"
    print(
        f"headrank: {len(empty)} of {len(texts)} queries are not in the run, no document shares a "
        f"term with them ({some}); {bare} of them have no term after analysis by {index.analyzer}"
        + (remedy if index.analyzer != "unicode" else ""),
        file=sys.stderr,
    )
