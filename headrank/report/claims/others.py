"""nDCG@10 that others published for rerankers without decoding, and what they compare with.

They stand beside a run, never in its tables: first stage, list length and queries differ, so no
cell may be compared with one of ours. Only tables that could be read in full are here; those of
ICR, CoRe, RouteHead, CompRank and the paper itself could not.
"""

from __future__ import annotations

from dataclasses import dataclass

COLUMNS = {
    "beir/nq": "NQ",
    "beir/trec-covid": "COVID",
    "beir/nfcorpus": "NFCorpus",
    "beir/fiqa": "FiQA",
    "beir/scifact": "SciFact",
    "beir/scidocs": "SCIDOCS",
    "beir/fever": "FEVER",
    "beir/climate-fever": "C-FEVER",
    "beir/dbpedia-entity": "DBPedia",
}
"""Benchmarks that the sources below have in common, by their ir_datasets id."""


@dataclass(frozen=True)
class Source:
    """One published table.

    Attributes:
        candidates: length of the reranked lists.
        average: over which sets ``Other.average`` is taken.
    """

    title: str
    first_stage: str
    candidates: int
    queries: str
    average: str


@dataclass(frozen=True)
class Other:
    """One published row.

    Attributes:
        percent: 100 nDCG@10 in the order of ``COLUMNS``, as printed there.
        average: as printed, over the source's own sets.
    """

    source: Source
    model: str
    method: str
    percent: tuple[float, ...]
    average: float


QRHEAD = Source(
    "QRHead, arXiv 2506.09944, table 2",
    "BM25",
    200,
    "512 sampled a set",
    "11 sets of BEIR, with Robust04 and TREC-NEWS",
)
BLOCKRANK = Source(
    "BlockRank, arXiv 2510.05396, readme of its code",
    "Contriever",
    100,
    "not stated",
    "11 sets of BEIR, with HotpotQA and MS MARCO",
)
_L3, _L8, _Q7, _L70 = "Llama-3.2-3B", "Llama-3.1-8B", "Qwen2.5-7B", "Llama-3.1-70B"
_LISTWISE = "RankGPT, bubble sort"
# Source, model, method, the benchmarks, the source's own average.
_ROWS = (
    (QRHEAD, "–", "BM25", (30.5, 59.5, 32.2, 23.6, 67.9, 14.9, 65.1, 16.5, 31.8), 38.4),
    (QRHEAD, _L3, _LISTWISE, (33.2, 61.8, 32.0, 22.4, 66.1, 14.8, 65.8, 17.1, 34.8), 39.0),
    (QRHEAD, _L3, "ICR", (49.2, 72.3, 33.8, 31.8, 73.3, 17.4, 82.6, 24.2, 34.7), 46.5),
    (QRHEAD, _L3, "QRHead", (54.9, 77.4, 35.1, 35.1, 74.7, 18.3, 83.7, 24.5, 36.0), 48.6),
    (QRHEAD, _L8, _LISTWISE, (53.7, 75.5, 34.3, 31.4, 69.3, 17.4, 67.5, 23.8, 42.9), 46.3),
    (QRHEAD, _L8, "ICR", (54.0, 73.3, 34.8, 35.6, 75.5, 19.0, 85.8, 24.8, 36.9), 48.5),
    (QRHEAD, _L8, "QRHead", (58.6, 77.5, 35.3, 39.1, 76.2, 19.4, 85.3, 23.9, 37.2), 50.0),
    (QRHEAD, _Q7, _LISTWISE, (42.7, 70.5, 34.1, 29.5, 69.3, 16.6, 70.5, 19.7, 37.1), 43.6),
    (QRHEAD, _Q7, "ICR", (43.1, 66.1, 32.7, 27.0, 71.1, 16.4, 79.2, 19.6, 35.3), 43.0),
    (QRHEAD, _Q7, "QRHead", (49.9, 67.7, 33.1, 29.2, 71.0, 15.3, 80.7, 20.1, 35.7), 44.2),
    (QRHEAD, _L70, _LISTWISE, (58.4, 81.2, 36.1, 41.0, 76.1, 20.2, 80.0, 25.1, 45.5), 51.9),
    (QRHEAD, _L70, "ICR", (57.9, 72.3, 34.2, 38.9, 74.6, 19.4, 86.4, 22.0, 38.3), 47.9),
    (QRHEAD, _L70, "QRHead", (62.1, 73.9, 34.7, 43.8, 76.8, 20.4, 85.9, 23.1, 35.7), 50.1),
    (
        QRHEAD,
        "MiniLM-L6, MS MARCO",
        "cross-encoder",
        (55.8, 74.3, 35.2, 35.1, 68.5, 17.5, 80.4, 25.5, 45.3),
        48.0,
    ),
    (
        QRHEAD,
        "bge-reranker-base",
        "cross-encoder",
        (55.2, 66.4, 31.0, 31.7, 70.8, 15.7, 88.6, 36.5, 42.5),
        46.8,
    ),
    (
        BLOCKRANK,
        "Mistral-7B, trained",
        "BlockRank",
        (62.6, 75.9, 36.4, 44.4, 75.2, 18.5, 87.8, 29.0, 51.0),
        54.9,
    ),
)
OTHERS = tuple(Other(*row) for row in _ROWS)
