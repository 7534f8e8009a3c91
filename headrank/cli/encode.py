"""``headrank encode``: the documents of a corpus read once, for every later query."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from headrank.cli.options import add_prompt, prepare_torch, size
from headrank.cli.ranker_arguments import add_read, check_named, check_packages, load_with
from headrank.errors import HeadRankError
from headrank.io.files import read_jsonl
from headrank.io.texts import is_blank

if TYPE_CHECKING:
    from headrank.data.candidates import Passage

_DESCRIPTION = """\
Read the documents of a corpus into a store.

  headrank encode corpus.jsonl --model DIR --heads heads.json -o store
  headrank rerank lists.jsonl --model DIR --heads heads.json --store store > ranked.jsonl

Each line of the corpus is {"text": "...", "title": "..."}; other keys and one of the two are
optional.
Layout is block: a document is read behind the shared header alone, so what is read does not
depend on queries or lists. Model, heads' depth, adapter and prompt must be those of the later
`headrank rerank`. A document without room before the query (--query-offset) is named before the
first is read; --overlong truncate or --document-tokens cuts it. A run that was stopped continues
where it was. `headrank info store` shows what a store holds.
"""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "encode",
        help="read documents once, for later queries",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", metavar="CORPUS", help="JSONL, plain or packed by gzip")
    add_read(parser)
    add_prompt(parser, fit=True, ordered=False)
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", required=True, metavar="DIR", help="the store")
    output.add_argument(
        "--limit",
        type=size,
        metavar="SIZE",
        help="most of the folder, as 500MB or 20GB (default: its own, or 20GB)",
    )
    output.add_argument(
        "--int8",
        action="store_true",
        default=None,
        help="keep 8 bits a number: about half the size of bfloat16; scores change a little",
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Encode the corpus and tell what was done."""
    from headrank.io.progress import follow

    check_packages(args)
    documents, empty = check(args.corpus)
    check_named(args)
    prepare_torch(args)
    from headrank.ranker.encoding import check_lengths, encode_passages
    from headrank.reading.document_store import DocumentStore

    store = DocumentStore.open(args.output, memory=1, limit=args.limit, int8=args.int8)
    ranker = load_with(args, folder=args.output, store=None)
    options = ranker.options
    if args.document_tokens is None and options.prompt.document_tokens is None:
        # A corpus is cut where that was asked for alone: what is stored serves later queries.
        options = replace(options, fit=False)
    ranker = replace(ranker, options=options)
    check_lengths(ranker, named_passages(args.corpus))
    # Only now, so that a corpus that is refused leaves no store of its settings.
    ranker = replace(ranker, store=store)
    folder, asked, new, tokens, cut = ranker.store.folder, 0, 0, 0, []
    before, start = folder.totals(), time.monotonic()
    with follow(total=documents, desc="encoding", unit="document", disable=args.quiet) as bar:
        for done in encode_passages(ranker, (one for _, one in named_passages(args.corpus))):
            asked, new, tokens = asked + done.documents, new + done.new, tokens + done.tokens
            cut += done.cut
            bar.update(done.documents)
            bar.set_postfix_str(f"{tokens / (time.monotonic() - start):.0f} tokens/s")
            totals = folder.totals()
            if totals.gone > before.gone and asked > totals.entries:
                raise HeadRankError(
                    f"{args.output}: after {asked} of {documents} documents the first ones make "
                    f"room for the last ones: the limit is {folder.limit} bytes; raise --limit, "
                    "give --int8, or encode a part of the corpus"
                )
    seconds = time.monotonic() - start
    if empty:
        print(f"headrank: {empty} documents have no text and were left out", file=sys.stderr)
    if cut:
        print(
            f"headrank: {len(cut)} of {asked} documents were cut: at most {max(k for _, k in cut)} "
            f"tokens of a document are kept, the longest has {max(n for n, _ in cut)} or more "
            "(--query-offset makes room, --document-tokens sets the budget)",
            file=sys.stderr,
        )
    print(
        f"{args.output}: {asked} documents, {new} of them new; {totals.bytes / 1e9:.3f} GB of "
        f"{folder.limit / 1e9:.3f} GB; {tokens} tokens in {seconds:.0f} s, "
        f"{tokens / seconds:.0f} tokens a second"
    )


def check(corpus: str) -> tuple[int, int]:
    """Return how many documents of a corpus have a text, and how many have none.

    Raises:
        HeadRankError: a line that cannot be used, or no document at all.
    """
    found = [_has_text(one) for _, one in _documents(corpus)]
    if not any(found):
        raise HeadRankError(f"{corpus}: there is no document with text in it")
    return sum(found), len(found) - sum(found)


def named_passages(corpus: str) -> Iterator[tuple[str, Passage]]:
    """Yield the documents that have a text, each with its file and line."""
    for number, one in _documents(corpus):
        if _has_text(one):
            yield f"{corpus}:{number}", one


def _has_text(passage: Passage) -> bool:
    return not (is_blank(passage.title) and is_blank(passage.text))


def _documents(corpus: str) -> Iterator[tuple[int, Passage]]:
    from headrank.cli.inputs import passage_of

    for number, record in read_jsonl(corpus):
        yield number, passage_of(record, f"{corpus}:{number}")
