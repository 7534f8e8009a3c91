"""The analyser against Lucene: token tables that Lucene produced, and laws of the pattern."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrank.cli.bm25 import ANALYZERS as NAMES
from headrank.errors import HeadRankError
from headrank.first_stage import lucene_analyzer
from headrank.first_stage.lucene_analyzer import (
    ANALYZERS,
    analyze,
    analyzer,
    tokenize,
    unicode_words,
)

# Produced by Lucene's English analyser through Anserini (DefaultEnglishAnalyzer).
GOLDEN = [
    ("What is the CEO's salary?", "what ceo salari"),
    (
        "I'm sure they don't know O'Neil's rock'n'roll",
        "i'm sure don't know o'neil rock'n'rol",
    ),
    ("node.js vs. C++ and AT&T wi-fi", "node.j vs c t wi fi"),
    ("costs 1,000.50 USD, up 3.5% (Q3)", "cost 1,000.50 usd up 3.5 q3"),
    ("foo_bar __init__ snake_case", "foo_bar __init__ snake_cas"),
    (
        "visit https://example.com/a-b?x=1 or mail a.b@c.org",
        "visit http example.com b x 1 mail a.b c.org",
    ),
    ("naïve café Müller straße", "naïv café müller straße"),
    ("e.g. the U.S. and the U.K.", "e.g u. u.k"),
    (
        "technology assembly possibly analogies generalizations",
        "technolog assembl possibl analog gener",
    ),
    ("js rs as is us ms", "js rs us ms"),
    ("time-sharing systems' 'tis", "time share system ti"),
    ("COVID-19 β-catenin IL-2 H2O CO2", "covid 19 β catenin il 2 h2o co2"),
    ("dogs’ dog’s DOGS", "dog dog dog"),
    ("12:30pm 10:45 a.m.", "12 30pm 10 45 a.m"),
    ("1990s 2nd 3-D", "1990 2nd 3 d"),
    ("be been being was were has", "been be were ha"),
    ("covid‐19 em—dash", "covid 19 em dash"),
    ("x.y.z. 1.2.3 v2.0", "x.y.z 1.2.3 v2.0"),
    ("ponies flies dying news was", "poni fli dy new"),
    (
        "relational conditional rational valenci hesitanci digitizer conformabli radicalli",
        "relat condit ration valenc hesit digit conform radic",
    ),
]

# Produced in the same way by Anserini 0.22.1 (Lucene 9.5.0): rarer rules.
GOLDEN_RARE = [
    ("ΟΔΟΣ Οδός ΣΟΦΌΣ", "οδοσ οδός σοφόσ"),  # no final sigma
    ("İstanbul ISPARTA", "istanbul isparta"),
    ("a:b 10:30 x::y", "a:b 10 30 x y"),
    ("１２３ ｆｕｌｌ", "１２３ ｆｕｌｌ"),
    ("日本語 テキスト ひらがな 한국어", "日 本 語 テキスト ひ ら が な 한국어"),
    ("ภาษาไทย ໄທ ភាសា", "ภาษาไทย ໄທ ភាសា"),
    (
        "I ❤\ufe0f NY 👩\u200d🔬 👍🏽 #\ufe0f\u20e3 5\ufe0f\u20e3 🇩🇪🇫🇷",
        "i ❤\ufe0f ny 👩\u200d🔬 👍🏽 #\ufe0f\u20e3 5\ufe0f\u20e3 🇩🇪 🇫🇷",
    ),
    ("★ © ™ ♥ ☎", "★ © ™ ♥ ☎"),
    ("it’s Bob＇s DOG'S s's", "bob dog s"),
    ("צה\"ל ג'ירף", "צה\"ל ג'ירף"),
    ("_ __ _a_ a_ _1", "_a_ a_ _1"),
    ("e\u0301te\u0301 co\u00adop zero\u200bwidth", "e\u0301te\u0301 co\u00adop zero width"),
    ("3,5;7 1.2.3.a a.1 1.a ...a...", "3,5;7 1.2.3 1 1"),
    ("naïve's ‘quoted’ don‘t", "naïv quot don‘t"),
    ("سلام ١٬٢٣٤٫٥", "سلام ١٬٢٣٤٫٥"),
    ("12a34b 4'11\" 5'a", "12a34b 4'11 5"),
    ("a'b'c 'a' ''a''b", "a'b'c b"),
    (
        "hopping tanned sky happy agreed plastered bled sing motoring",
        "hop tan sky happi agre plaster bled sing motor",
    ),
    ("", ""),
    (" \n\t", ""),
]


@pytest.mark.parametrize(("text", "terms"), GOLDEN + GOLDEN_RARE)
def test_terms_are_lucenes(text, terms):
    assert analyze(text) == terms.split(" " if terms else None)


def test_the_stopwords_are_lucenes_33():
    assert len(lucene_analyzer.STOPWORDS) == 33
    assert analyze(" ".join(sorted(lucene_analyzer.STOPWORDS))) == []


# Lengths of the terms that Lucene 9.5.0 makes of words longer than its buffer of 255.
@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("a" * 255, [255]),
        ("a" * 600, [255, 255, 90]),
        ("a" * 254 + ".b", [254, 1]),
        ("_" * 300 + "ab", [255, 1]),
        ("ab" * 200 + "'s y", [255, 145, 1]),
        ("\U00010400" * 200, [127, 73]),  # two UTF-16 units a letter
    ],
)
def test_overlong_words_are_cut_as_in_lucene(text, lengths):
    assert [len(term) for term in analyze(text)] == lengths


def test_long_runs_do_not_stall_the_pattern():
    # A quadratic scan of any of these takes minutes.
    for unit in ("_", "'", "a", "_a", "'a", "1,", "\u200d", "\u0301", "_\u0301", "#\u0301"):
        for end in ("", "a", "é"):
            tokenize(unit * 100_000 + end)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abAB12_.':,;- \n\"!", max_size=40))
def test_both_patterns_cut_ascii_alike(text):
    assert lucene_analyzer._ASCII_WORD.findall(text) == lucene_analyzer._WORD.findall(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_tokens_are_pieces_of_the_text_in_order(text):
    place = 0
    for token in tokenize(text):
        place = text.index(token, place) + len(token)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="abcdé's.1_漢", max_size=8), max_size=8))
def test_a_space_always_separates(words):
    assert analyze(" ".join(words)) == [term for word in words for term in analyze(word)]


def test_words_of_any_language_stay_whole():
    assert unicode_words("The Hunde liefen, ÉTÉ d'été 東京!") == [
        "the",
        "hunde",
        "liefen",
        "été",
        "d'été",
        "東",
        "京",
    ]
    assert analyzer("unicode") is unicode_words and analyzer("lucene-english") is analyze
    assert tuple(ANALYZERS) == NAMES
    with pytest.raises(HeadRankError, match="analyzer 'german' is unknown; allowed: lucene-engl"):
        analyzer("german")
