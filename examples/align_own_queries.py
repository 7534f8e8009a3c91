"""Select and align heads on labelled queries of one's own, then rerank with them.

    headrank fetch smollm2 insuranceqa
    python examples/align_own_queries.py --adapter my-adapter

Takes a few minutes on a laptop. Any collection in HeadRank's layout will do; so will
`LabelledQuery` objects made from any other source.
"""

from __future__ import annotations

import argparse

from headrank import HeadRanker
from headrank.align.options import AlignOptions
from headrank.collections.collection import iter_documents, load_documents, load_qrels, load_queries
from headrank.data.candidates import Passage
from headrank.data.trec import Qrels, Run
from headrank.evaluation.measures import evaluate
from headrank.first_stage.bm25 import Bm25Index
from headrank.fitting import AlignRecipe, LabelledQuery, align_heads, as_lists, profile_heads
from headrank.options.prompt import PromptOptions


def labelled_queries(collection: str, split: str, count: int, depth: int) -> list[LabelledQuery]:
    """Return queries whose BM25 candidates hold relevant and other documents."""
    queries, qrels = load_queries(collection, split), load_qrels(collection)
    documents = ((d.doc_id, d.contents) for d in iter_documents(collection))
    run = Bm25Index.build(documents).search(
        {name: query.text for name, query in list(queries.items())[: 20 * count]}, depth
    )
    chosen = {}
    for query, ranking in run.rankings.items():
        grades = [qrels.grades.get(query, {}).get(document, 0) for document, _ in ranking]
        if len(set(grades)) > 1 and len(chosen) < count:
            chosen[query] = ([document for document, _ in ranking], grades)
    texts = load_documents(collection, {d for names, _ in chosen.values() for d in names})
    return [
        LabelledQuery(
            queries[query].text,
            [Passage(texts[name].title, texts[name].text) for name in names],
            grades,
            query,
        )
        for query, (names, grades) in chosen.items()
    ]


def quality(ranker: HeadRanker, examples: list[LabelledQuery]) -> float:
    """Return mean nDCG@10 of the ranker over labelled queries."""
    lists, qrels = as_lists(examples)
    scores = {
        one.query_id: {passage.doc_id: passage.score for passage in ranking}
        for one, ranking in zip(lists, ranker.rerank_lists(lists), strict=True)
    }
    values = evaluate(Run.from_scores(scores), Qrels(qrels.grades), ["nDCG@10"])
    return float(values["value"].mean())


def main() -> None:
    """Profile, align and compare on held-out queries."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resources/models/smollm2")
    parser.add_argument("--collection", default="resources/collections/insuranceqa")
    parser.add_argument("--split", default="train")
    parser.add_argument("--queries", type=int, default=60, help="labelled queries to use")
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--heads", type=int, default=8, help="heads to select")
    parser.add_argument("--adapter", required=True, help="folder to write")
    options = parser.parse_args()
    examples = labelled_queries(
        options.collection, options.split, options.queries, options.candidates
    )
    third = len(examples) // 3
    selecting, training, testing = examples[:third], examples[third:-third], examples[-third:]
    prompt = PromptOptions(document_tokens=48)
    profile = profile_heads(options.model, selecting, prompt=prompt)
    heads = profile.select(heads=options.heads)
    print("heads (layer, head):", *heads.pairs)
    recipe = AlignRecipe(AlignOptions(epochs=1))
    align_heads(options.model, heads, training, options.adapter, recipe=recipe)
    for name, adapter in (("as it came", None), ("aligned", options.adapter)):
        ranker = HeadRanker.from_pretrained(options.model, heads, adapter)
        print(f"nDCG@10 {name}: {quality(ranker, testing):.3f} on {len(testing)} held-out queries")
    ranker.save_pretrained(f"{options.adapter}-ranker")
    print(f"saved: {options.adapter}-ranker; try `headrank info {options.adapter}-ranker`")


if __name__ == "__main__":
    main()
