"""Text to index terms, as Lucene's English analyser makes them, or as words of any language.

BM25 scores depend on the analyser as much as on k1 and b, and the published baselines
come from Lucene through Anserini. The chain is Lucene's: StandardTokenizer (Unicode
Standard Annex #29), English possessive filter, lower case, 33 stopwords, Porter's
stemmer with his later rules. Differences known from Lucene 9.5: characters that Unicode
added after version 12 (words here, separators there), two vertical forms of comma and
semicolon between digits, and a quote behind a Hebrew word with inner punctuation.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import regex
from bm25s.stopwords import STOPWORDS_EN

from headrank.errors import HeadRankError
from headrank.io.extras import need

STOPWORDS = frozenset(STOPWORDS_EN)
MAX_TOKEN_LENGTH = 255
"""Longest token in UTF-16 units: StandardTokenizer's buffer, which cuts longer ones."""

_MEMO_SIZE = 1 << 20
"""Distinct words whose term is kept (about 200 MB when full)."""

# Lucene's tables are Unicode 9 (words) and 11 (emoji). Since then the colon stopped joining
# letters, and these characters became letters, left the marks, and left the emoji.
_LETTERS_SINCE = r"\u00B8\u02E5-\u02EB\u055A\u055F\u058A\uA708-\uA716"
_MARKS_BEFORE = r"\u0600-\u0605\u06DD\u070F\u08E2"
_PICTOGRAPHS_BEFORE = (
    r"\u2388\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705\u2708-\u2712\u2763-\u2767"
    r"\U0001F000-\U0001F0FF\U0001F10D-\U0001F10F\U0001F12F\U0001F16C-\U0001F16F"
    r"\U0001F1AD-\U0001F1E5\U0001F249-\U0001F53D\U0001F546-\U0001F64F\U0001F680-\U0001F6FF"
    r"\U0001F774-\U0001F77F\U0001F7D5-\U0001F7FF\U0001F900-\U0001FAFF"
)

_EXTEND = rf"[\p{{WB=Format}}\p{{WB=Extend}}\p{{WB=ZWJ}}{_MARKS_BEFORE}]"
_UNDERSCORE = rf"\p{{WB=ExtendNumLet}}{_EXTEND}*+"


def _word_pattern() -> str:
    """Return the tokens as one pattern; each class carries the marks after it (rule WB4).

    Quantifiers are possessive, and a run of underscores or joiners is entered only at its
    first, so the time is linear in the text's length.
    """
    marks = f"{_EXTEND}*+"
    letter = (
        r"[[\p{WB=ALetter}\p{WB=Hebrew_Letter}]"
        rf"--[{_LETTERS_SINCE}{_MARKS_BEFORE}]]{marks}"
    )
    hebrew = rf"\p{{WB=Hebrew_Letter}}{marks}"
    digit = rf"[[\p{{WB=Numeric}}\uFF10-\uFF19]--[{_MARKS_BEFORE}]]{marks}"
    katakana = rf"\p{{WB=Katakana}}{marks}"
    quote = rf"\p{{WB=Single_Quote}}{marks}"
    double_quote = rf"\p{{WB=Double_Quote}}{marks}"
    between_letters = (
        r"[[:\p{WB=MidLetter}\p{WB=MidNumLet}\p{WB=Single_Quote}]"
        rf"--[{_LETTERS_SINCE}]]{marks}"
    )
    between_digits = rf"[\p{{WB=MidNum}}\p{{WB=MidNumLet}}\p{{WB=Single_Quote}}]{marks}"

    letters = (  # WB5-WB7, and WB7a-WB7c for Hebrew
        f"(?:{letter})++(?:{between_letters}(?:{letter})++"
        f"|(?<={hebrew}){double_quote}(?={hebrew})(?:{letter})++)*+"
        f"(?:(?<={hebrew}){quote})?+"
    )
    digits = f"(?:{digit})++(?:{between_digits}(?:{digit})++)*+"  # WB8, WB11, WB12
    block = f"(?:(?:{katakana})++|(?:{letters}|{digits})++)"  # WB9, WB10, WB13
    word = (  # WB13a, WB13b
        rf"(?:(?=\p{{WB=ExtendNumLet}})(?<!{_UNDERSCORE})(?:{_UNDERSCORE})++)?+{block}"
        f"(?:(?:{_UNDERSCORE})++{block})*+(?:{_UNDERSCORE})*+"
    )

    # Text without spaces: a token a character, or (South East Asian scripts) a token a run.
    single = rf"\p{{Script=Han}}{marks}|\p{{Script=Hiragana}}{marks}"
    run = rf"(?:\p{{Line_Break=SA}}{marks})++"

    # Emoji sequences (Unicode Technical Standard #51): keycaps, flags, joined pictures.
    inner = rf"[{_EXTEND}--[\uFE0E\uFE0F]]*+"
    keycap = rf"[#*][{_EXTEND}--[\uFE0E\uFE0F\u20E3]]*+\uFE0F?\u20E3{inner}"
    flag = rf"(?:\p{{WB=Regional_Indicator}}{marks}){{2}}"
    picture = (
        rf"(?:\p{{Emoji_Modifier}}{inner}"
        rf"|(?:(?<!\u200D)\u200D++)?+[[\p{{Extended_Pictographic}}\p{{Emoji}}{_PICTOGRAPHS_BEFORE}]"
        rf"--[0-9#*\p{{WB=Regional_Indicator}}\p{{Emoji_Modifier}}]]{inner}\uFE0F?)"
    )
    joined = rf"{picture}(?:(?<=\u200D){picture}|(?=\u200D){picture})*+"
    return "(?V1)" + "|".join([word, run, single, keycap, flag, joined])


_WORD = regex.compile(_word_pattern())
_UNDERSCORES = regex.compile(f"(?V1)(?:{_UNDERSCORE})*+")
# The same rules for ASCII text, six times as fast in the standard library's engine.
_ASCII_WORD = re.compile(
    r"(?:(?<!_)_++)?+(?:(?:[A-Za-z]++(?:[.':][A-Za-z]++)*+|[0-9]++(?:[.,;'][0-9]++)*+)++_*+)++"
)


def unicode_words(text: str) -> list[str]:
    """Return a text's words in lower case, in order: no stopwords, no stems, for any language.

    Source: Unicode Standard Annex #29, as `tokenize`.
    """
    return [_lower(token) for token in tokenize(text)]


def analyze(text: str) -> list[str]:
    """Return the index terms of a text, in order, repeats kept.

    Source: Lucene's ``EnglishAnalyzer`` as Anserini configures it.
    """
    return [term for term in map(_term, tokenize(text)) if term]


def tokenize(text: str) -> list[str]:
    """Return the tokens of a text as Lucene's StandardTokenizer cuts them, case kept.

    Source: Unicode Standard Annex #29 (word boundaries).
    """
    pattern = _ASCII_WORD if text.isascii() else _WORD
    tokens = pattern.findall(text)
    # A token of n characters has at most 2n UTF-16 units; the exact check is in _cut.
    if tokens and 2 * max(map(len, tokens)) > MAX_TOKEN_LENGTH:
        tokens = [part for token in tokens for part in _cut(token, pattern)]
    return tokens


def _cut(token: str, pattern: re.Pattern | regex.Pattern) -> list[str]:
    """Return an overlong token as the pieces that fit Lucene's buffer."""
    parts = []
    while token:
        window = token[:MAX_TOKEN_LENGTH]
        while _utf16_units(window) > MAX_TOKEN_LENGTH:
            window = window[:-1]
        found = pattern.search(window)
        if found:
            parts.append(found.group())
            token = token[found.end() :]
        elif window == token:
            break
        else:  # underscores: Lucene moves on until a letter or digit comes into view
            token = token[max(1, _UNDERSCORES.match(token).end() - MAX_TOKEN_LENGTH + 1) :]
    return parts


def _utf16_units(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


@functools.cache
def _stemmer() -> Callable[[str, bool], str]:
    """Return NLTK's Porter stemmer; importing NLTK takes a second, so only on first use."""
    need("retrieval", "analyzer lucene-english", "nltk")
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer(mode=PorterStemmer.MARTIN_EXTENSIONS).stem


@functools.lru_cache(maxsize=_MEMO_SIZE)
def _term(token: str) -> str:
    """Return the index term of a token, empty for a stopword."""
    if len(token) >= 2 and token[-1] in "sS" and token[-2] in "'\u2019\uff07":
        token = token[:-2]
    token = _lower(token)
    if token in STOPWORDS:
        return ""
    # Lucene stems from three letters on; NLTK keeps shorter words too.
    return _stemmer()(token, False)


def _lower(token: str) -> str:
    """Return the token in lower case, a character at a time as Java does it.

    Python's ``str.lower`` looks at the whole word: it turns a final sigma into another
    letter and a dotted capital I into two characters.
    """
    if token.isascii():
        return token.lower()
    return "".join("i" if character == "\u0130" else character.lower() for character in token)


ENGLISH = "lucene-english"
ANALYZERS: dict[str, Callable[[str], list[str]]] = {ENGLISH: analyze, "unicode": unicode_words}
"""Ways from text to terms, by the name that an index carries."""


def analyzer(name: str) -> Callable[[str], list[str]]:
    """Return the function of an analyser's name.

    Raises:
        HeadRankError: no such analyser.
    """
    if name not in ANALYZERS:
        raise HeadRankError(f"analyzer {name!r} is unknown; allowed: {', '.join(ANALYZERS)}")
    return ANALYZERS[name]
