"""Texts of others never become tokens that were added to a tokenizer, special or not."""

import json

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import models as kinds
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from headrank.data.candidates import Passage
from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading.plain_text import plain_batch, plain_tokenizer
from headrank.reading.prompt import PromptBuilder
from tests.helpers import models
from tests.helpers import tiny_models as tiny
from tests.helpers.prompt_texts import make

MORE = [
    AddedToken("<think>", normalized=False),
    AddedToken("</think>", normalized=True),
    AddedToken("<left>", lstrip=True),
    AddedToken("<right>", rstrip=True, normalized=True),
    AddedToken("insured", single_word=True),
    AddedToken("policy"),  # a word that the vocabulary may hold too
    AddedToken("<control>", special=True, lstrip=True, rstrip=True),
]


def more(kind):
    """Return a tokenizer with added tokens of every sort."""
    own = models.tokenizer(kind)
    backend = Tokenizer.from_str(own.backend_tokenizer.to_str())
    backend.add_tokens(MORE)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
    )


def metaspace():
    """Return a Unigram tokenizer (SentencePiece's way) whose pieces hold its added tokens."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("<think>", 0.0), ("▁", -2.0)]
    pieces += [(letter, -3.0) for letter in "<>/abcdefghijklmnopqrstuvwxyz[]0123456789\n.?:ABCQ"]
    pieces += [("▁the", -2.5), ("he", -2.6), ("<b>", 0.0)]
    backend = Tokenizer(kinds.Unigram(pieces, unk_id=0))
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.add_special_tokens([AddedToken("<s>"), AddedToken("<unk>")])
    backend.add_tokens([AddedToken("<think>"), AddedToken("<b>")])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")


KINDS = {kind: lambda kind=kind: more(kind) for kind in ("gpt2", "qwen", "qwen-nfc", "gemma")}
KINDS["metaspace"] = metaspace


def added(tokenizer):
    return {token.content: id for id, token in tokenizer.added_tokens_decoder.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frame", ["{}", "a{}b", "the {} the", "the\n{}\n\n", "{}{}"])
def test_no_text_yields_an_added_token(kind, frame):
    tokenizer = KINDS[kind]()
    plain = plain_tokenizer(tokenizer)
    ids = set(added(tokenizer).values())
    for content in added(tokenizer):
        text = frame.format(content, content)
        if frame == "{}":  # the danger is real
            assert set(tokenizer.encode(text, add_special_tokens=False)) & ids
        found = plain.encode(text, add_special_tokens=False)
        unknown = {0} if kind == "metaspace" else set()  # no letter of it is in the vocabulary
        assert not set(found.ids) & ids - unknown
        # Offsets cover the text without holes but for white space, in order.
        covered = "".join(text[start:stop] for start, stop in dict.fromkeys(found.offsets))
        assert "".join(covered.split()) == "".join(text.split())


@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_text_gets_the_tokenizers_own_ids_and_offsets(kind):
    tokenizer = KINDS[kind]()
    plain = plain_tokenizer(tokenizer)
    # The words that are added tokens are no ordinary text.
    texts = [t for t in models.TEXTS if "polic" not in t and "insured" not in t]
    texts += ["", " ", "two  spaces\n\n\nand lines", "naïve café 漢字 👩‍👩‍👧‍👦 e\u0301"]
    assert len(texts) > 6
    for text in texts:
        mine = plain.encode(text, add_special_tokens=False)
        own = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        assert (mine.ids, mine.offsets) == (own["input_ids"], own["offset_mapping"])


def test_the_demos_tokenizer(root):
    folder = root / "resources/models/smollm2"
    if not (folder / "tokenizer.json").is_file():
        pytest.skip("resources/models/smollm2 is not there; `headrank fetch smollm2` brings it")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain, ids = plain_tokenizer(tokenizer), set(added(tokenizer).values())
    assert len(ids) > 10
    for content in added(tokenizer):
        for text in (content, f"a{content}b", f"see {content} there"):
            assert not set(plain.encode(text, add_special_tokens=False).ids) & ids
            # As a tokenizer would that never heard of the token, here by an empty joiner.
            assert tokenizer.decode(plain.encode(text, add_special_tokens=False).ids) == text
    for text in models.TEXTS:
        own = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        mine = plain.encode(text, add_special_tokens=False)
        assert (mine.ids, mine.offsets) == (own["input_ids"], own["offset_mapping"])


def test_a_prompt_spells_tokens_in_passages_and_query():
    tokenizer = more("qwen")
    ids = set(added(tokenizer).values())
    builder = PromptBuilder(tokenizer, PromptOptions(rows="suffix", chat=False))
    bare = builder.build(make([Passage("", "a text")], "a query"))
    for content in added(tokenizer):
        prompt = builder.build(make([Passage(content, f"a {content} text")], f"why {content}?"))
        new = [*prompt.prefix[1:], *prompt.suffixes[0].ids]
        assert set(new) & ids <= set(bare.prefix[1:] + bare.suffixes[0].ids)
        ((start, stop),) = prompt.spans
        text = tokenizer.decode(prompt.prefix[start:stop]).strip()
        assert text == f"{content}\na {content} text"


def test_a_token_that_is_added_changes_no_score(tmp_path):
    """The model with Qwen3's own added tokens scores as the same model that has none of them."""
    texts = ["a <think> b </think> c", "a policy pays", *tiny.TEXTS[2:5]]
    scores = []
    for tokens in ([], ["<think>", "</think>"]):
        folder = models.save(tmp_path / str(len(tokens)), "qwen3")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens(tokens)
        tokenizer.save_pretrained(folder)
        assert ("<think>" in added(AutoTokenizer.from_pretrained(folder))) == bool(tokens)
        ranker = HeadRanker.from_pretrained(folder, HeadSet((Head(2, 3), Head(1, 0))))
        scores.append([(p.doc_id, p.score) for p in ranker.rerank("why <think>?", texts)])
    assert scores[0] == scores[1]


def test_words_whose_merges_are_taken_away_keep_their_id_for_others():
    """`policy` as an added token that the vocabulary holds as a word, with ignore_merges."""
    own = models.tokenizer("gpt2")
    state = json.loads(own.backend_tokenizer.to_str())
    word = next(w for w in state["model"]["vocab"] if len(w) > 3 and w.isalpha())
    state["model"]["ignore_merges"] = True
    backend = Tokenizer.from_str(json.dumps(state))
    backend.add_tokens([word])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|im_start|>")
    id = added(tokenizer)[word]
    assert id == state["model"]["vocab"][word]
    found = plain_tokenizer(tokenizer).encode(f"{word} {word}", add_special_tokens=False)
    assert id not in found.ids
    assert tokenizer.decode(found.ids) == f"{word} {word}"


def test_one_character_stays_itself():
    own = models.tokenizer("gpt2")
    backend = Tokenizer.from_str(own.backend_tokenizer.to_str())
    backend.add_tokens(["x", "\n"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|im_start|>")
    found = plain_tokenizer(tokenizer).encode("x\nx", add_special_tokens=False)
    assert tokenizer.decode(found.ids) == "x\nx"


def bert():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "sat", "##s", "[", "]"]
    words += ["sep", "mask", "cls", "pad", "unk", "?"]
    backend = Tokenizer(kinds.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    result = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    result.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return result


@pytest.mark.parametrize("most", [4, 6, 64])
def test_an_encoders_batch_is_the_tokenizers_own(most):
    tokenizer = bert()
    first, second = ["a cat", "cats sat a cat?"], ["a zebra sat sat sat", "a"]
    for pairs in (None, second):
        mine = plain_batch(tokenizer, first, pairs, max_tokens=most)
        own = tokenizer(
            first, pairs, padding=True, truncation=True, max_length=most, return_tensors="pt"
        )
        assert mine.keys() == own.keys()
        for name, values in own.items():
            assert torch.equal(mine[name], values)


def test_an_encoders_text_holds_no_control_token():
    tokenizer = bert()
    found = plain_batch(tokenizer, ["a [SEP] cat [MASK]", "a [PAD][CLS]"], max_tokens=64)
    for row, length in zip(found["input_ids"], found["attention_mask"].sum(1), strict=True):
        inner = row[1 : length - 1].tolist()
        assert not set(inner) & {0, 1, 2, 3, 4}
        assert (row[0], row[length - 1]) == (2, 3)


def test_a_tokenizer_that_gets_tokens_later_is_copied_again():
    tokenizer = more("gpt2")
    before = plain_tokenizer(tokenizer)
    assert plain_tokenizer(tokenizer) is before
    tokenizer.add_tokens(["<later>"])
    found = plain_tokenizer(tokenizer).encode("a <later> b", add_special_tokens=False)
    assert added(tokenizer)["<later>"] not in found.ids
    assert np.array_equal(found.ids, before.encode("a <later> b", add_special_tokens=False).ids)


def test_a_tokenizer_that_cannot_be_copied_is_refused():
    class Odd:
        is_fast = True

        class backend_tokenizer:
            get_added_tokens_decoder = staticmethod(dict)

            @staticmethod
            def to_str():
                raise ValueError("a part in Python")

    with pytest.raises(HeadRankError, match=r"Odd cannot be copied.*a part in Python.*ordinary"):
        plain_tokenizer(Odd())
