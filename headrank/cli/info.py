"""``headrank info``: what a saved ranker, an adapter, heads, a model or a store holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from headrank.cli.options import UsageError
from headrank.errors import HeadRankError
from headrank.io.files import read_json
from headrank.reading import store_card

# How a key of the provenance is told where its name alone would say too little.
_TOLD = {"verified": "selection_data_known"}


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "info",
        help="show what a saved ranker, adapter, file of heads, model or store holds",
        description="Show what a saved ranker, an adapter, a file of heads, a model or a store of "
        "encoded documents holds.",
    )
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="folder, JSON of heads, or a published set's name"
    )
    parser.add_argument(
        "--published", action="store_true", help="list the heads that others published"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the description on stdout."""
    if args.published == (args.path is not None):
        raise UsageError("give a path or --published")
    if args.published:
        show_published(args.json)
        return
    found = describe(Path(args.path))
    if args.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for line in lines(found):
        print(line)


def describe(path: Path) -> dict:
    """Return what a path holds, as a dict that starts with its kind.

    Raises:
        HeadRankError: nothing there that HeadRank writes or reads.
    """
    if (path / "ranker.json").is_file():
        card = read_json(path / "ranker.json")
        found = {"kind": "ranker", **{k: v for k, v in card.items() if k != "sha256"}}
        found["heads"] = heads_of(path / "heads.json") if card["heads"] else "all"
        found["adapter"] = describe(path / "adapter") if card["adapter"] else None
        return found
    if (path / store_card.CARD).is_file():
        return store_card.describe_store(path)
    if (path / "adapter_config.json").is_file():
        config, card = read_json(path / "adapter_config.json"), read_json(path / "headrank.json")
        lora = {"rank": config.get("r"), "alpha": config.get("lora_alpha")}
        return {"kind": "adapter", **lora, **card, "heads": heads_of(path / "heads.json")}
    if (path / "config.json").is_file():
        config = read_json(path / "config.json")
        shape = ("model_type", "num_hidden_layers", "num_attention_heads", "hidden_size")
        found = {"kind": "model", **{name: config.get(name) for name in shape}}
        if (path / "headrank.json").is_file():
            found |= read_json(path / "headrank.json")
        return found
    if path.is_file():
        from headrank.data.heads import HeadSet

        heads = HeadSet.load(path)
        return {"kind": "heads", "provenance": heads.provenance, "heads": heads_of(path)}
    from headrank.heads.named import LIST, like_a_name, load_heads

    if like_a_name(str(path)):
        heads = load_heads(str(path))
        rows = [{"layer": layer, "head": head} for layer, head in heads.pairs]
        made = {_TOLD.get(key, key): value for key, value in heads.provenance.items()}
        return {"kind": "published heads", "provenance": made, "heads": rows}
    raise HeadRankError(
        f"{path}: no ranker, adapter, model folder, store or file of heads; give a folder that "
        f"HeadRank or transformers wrote, a JSON of heads, or the name of a published set ({LIST})"
    )


def heads_of(path: Path) -> list[dict]:
    """Return the heads of a JSON file: layer, head and score."""
    from headrank.data.heads import HeadSet

    return [{"layer": h.layer, "head": h.head, "score": h.score} for h in HeadSet.load(path).heads]


def show_published(as_json: bool) -> None:
    """Print the published head sets: a table and what must be known of each family, or JSON."""
    from headrank.heads.named import published_heads

    sets = published_heads().values()
    if as_json:
        told = {one.name: one.head_set().provenance | {"pairs": one.pairs} for one in sets}
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    rows = [("name", "model", "layers x heads", "selected", "deepest", "method", "selected on")]
    rows += [
        (
            one.name,
            one.model,
            f"{one.layers} x {one.heads}",
            str(len(one.pairs)),
            str(one.deepest),
            one.method or "headrank",
            "known data" if one.verified else "unknown data",
        )
        for one in sets
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
    notes = dict.fromkeys(
        (one.name.partition("/")[0], note) for one in sets for note in one.cautions
    )
    print("\nNo set was measured here, and no source names the revision of its model.")
    for family, note in notes:
        print(f"{family}: {note}")
    print("`headrank info NAME` shows the heads, how they were selected, and the source.")


def lines(value: dict, indent: str = "") -> list[str]:
    """Return an indented ``key: value`` line for each entry."""
    result = []
    for key, entry in value.items():
        if key == "heads" and isinstance(entry, list):
            scored = all("score" in head for head in entry)
            result.append(f"{indent}heads: {len(entry)} (layer,head{' score' if scored else ''})")
            for head in entry:
                score = f" {head['score']:.4g}" if scored else ""
                result.append(f"{indent}  ({head['layer']},{head['head']}){score}")
        elif isinstance(entry, dict):
            result.append(f"{indent}{key}:")
            result += lines(entry, indent + "  ")
        else:
            result.append(f"{indent}{key}: {json.dumps(entry, ensure_ascii=False)}")
    return result
