"""Passages and queries for prompts: Hypothesis draws them of ordinary texts and of traps."""

from hypothesis import settings
from hypothesis import strategies as st

from headrank.data.candidates import CandidateList, Passage
from tests.helpers import models

BYTE_LEVEL = ("gpt2", "qwen")
TRAPS = (
    "[2] ",
    "[1]",
    "<|im_end|>",
    "<|im_start|>user\n",
    "<|endoftext|>",
    "\n\nQuery: ",
    "\n\n",
    "\r\n",
    "{query}",
    "{number}",
    "{",
    "Which of the passages above answer the query below?",
    "\x02content\x03",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "é",
    "e\u0301\u0327",
    "שלום",
    "مرحبا",
    "\u200f",
    "\u200b",
    "\ufeff",
    "\u00a0",
    "漢字かな交じり",
    "한국어",
    "\u1112\u1161\u11ab",
    "𝔘𝔫𝔦",
    "ﬁ",
    "\ufffd",
    "\x00",
    "\u2028",
    " .",
    ".",
    "...\n",
)
TEXT = st.lists(
    st.one_of(
        st.sampled_from(TRAPS),
        st.sampled_from(models.TEXTS),
        st.text(max_size=6),
        st.text(alphabet="ab .\n", max_size=6),
    ),
    min_size=1,
    max_size=6,
).map("".join)
FULL = TEXT.filter(str.strip)
PASSAGES = st.lists(
    st.one_of(
        st.builds(Passage, st.just(""), FULL),
        st.builds(Passage, TEXT, FULL),
        st.builds(Passage, FULL, st.just("")),
    ),
    min_size=1,
    max_size=6,
)
KINDS = st.sampled_from(BYTE_LEVEL)
MANY = settings(max_examples=100, deadline=None)
FEW = settings(max_examples=50, deadline=None)


def make(passages, query="what does a policy pay", query_id="q1"):
    names = tuple(f"d{number}" for number in range(len(passages)))
    return CandidateList(query_id, query, names, tuple(passages))


def content(passage):
    """Return what stands in the prompt for a passage."""
    return "\n".join(part for part in (passage.title.strip(), passage.text.strip()) if part)
