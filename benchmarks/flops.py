"""What a pass must compute, and what a card can: shares of its peak.

Multiply-adds count twice. Linear layers count once a token, attention once a pair of a token and
one that it sees (so the causal half). The language-model head, norms and softmax are not counted,
and neither is what a reading adds: it must be cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedConfig

from headrank.errors import HeadRankError

# Dense bfloat16 TFLOP/s of the makers' data sheets, by the name that torch gives the card. A slice
# of a card (MIG) has another name, so it is never taken for a whole one.
PEAKS = {
    "NVIDIA A10": 125.0,
    "NVIDIA A100 80GB PCIe": 312.0,
    "NVIDIA A100-PCIE-40GB": 312.0,
    "NVIDIA A100-SXM4-40GB": 312.0,
    "NVIDIA A100-SXM4-80GB": 312.0,
    "NVIDIA H100 80GB HBM3": 989.4,
    "NVIDIA H100 NVL": 835.5,
    "NVIDIA H100 PCIe": 756.5,
    "NVIDIA H200": 989.4,
    "NVIDIA H200 NVL": 835.5,
    "NVIDIA L4": 121.0,
    "NVIDIA L40S": 362.0,
}


def peak_of(name: str, given: float | None) -> float:
    """Return the card's peak in TFLOP/s of dense bfloat16: the one given, or the known one.

    Raises:
        HeadRankError: no peak given, and none known for a card of this name.
    """
    if given is not None:
        if not given > 0:
            raise HeadRankError(f"peak is {given}; give TFLOP/s above 0")
        return given
    if name not in PEAKS:
        raise HeadRankError(
            f"the peak of {name!r} is not known; give its dense bfloat16 TFLOP/s by --peak (known: "
            f"{', '.join(PEAKS)})"
        )
    return PEAKS[name]


@dataclass(frozen=True)
class Shape:
    """Multiply-adds of a decoder's parts, for one token (linear) or one pair (attention).

    Attributes:
        query, key: projections of one layer; ``rest`` its other linear layers.
        pair: dot product of one query and one key, all heads; values cost as much.
        layers: of the whole model.
    """

    layers: int
    query: int
    key: int
    rest: int
    pair: int

    @classmethod
    def of(cls, config: PreTrainedConfig) -> Shape:
        """Return the shape of a decoder with grouped queries and a gated feed-forward part."""
        width, size = config.hidden_size, config.head_dim
        query = width * config.num_attention_heads * size
        key = width * config.num_key_value_heads * size
        return cls(
            layers=config.num_hidden_layers,
            query=query,
            key=key,
            rest=key + query + 3 * width * config.intermediate_size,
            pair=config.num_attention_heads * size,
        )


@dataclass(frozen=True)
class Load:
    """Tokens computed in one list, and the pairs of a token and one that it sees.

    Attributes:
        rows: tokens of the suffix, whose queries the last layer needs.
        seen: pairs of these rows.
    """

    tokens: int
    pairs: float
    rows: int
    seen: float

    @classmethod
    def joint(cls, prefix: int, documents: list[int], suffix: int) -> Load:
        """Return that of one causal sequence."""
        before = prefix + sum(documents)
        tokens = before + suffix
        return cls(tokens, tokens**2 / 2, suffix, suffix * before + suffix**2 / 2)

    @classmethod
    def block(cls, prefix: int, documents: list[int], suffix: int, *, stored: bool = False) -> Load:
        """Return that of documents which see the prefix and themselves; stored: the suffix only."""
        before = prefix + sum(documents)
        seen = suffix * before + suffix**2 / 2
        if stored:
            return cls(suffix, seen, suffix, seen)
        apart = prefix**2 / 2 + sum(one * prefix + one**2 / 2 for one in documents)
        return cls(before + suffix, apart + seen, suffix, seen)


def flops(shape: Shape, load: Load, layers: int, *, cut: bool, training: bool = False) -> float:
    """Return the floating-point operations of one list.

    Args:
        layers: that are read, from the first.
        cut: of the last of them only the keys and the suffix's queries and their products are
            computed.
        training: add the gradients of the activations (as much as the linear layers, twice the
            attention); the weights are frozen, and those of an adapter are small.
    """
    whole = layers - 1 if cut else layers
    linear = whole * (shape.query + shape.key + shape.rest) * load.tokens
    attention = whole * 2 * shape.pair * load.pairs
    if cut:
        linear += shape.key * load.tokens + shape.query * load.rows
        attention += shape.pair * load.seen
    if training:
        linear, attention = 2 * linear, 3 * attention
    return 2 * (linear + attention)
