"""``headrank push``: a saved ranker to the Hugging Face hub, with a model card."""

from __future__ import annotations

import argparse

_DESCRIPTION = """\
Put a saved ranker on the Hugging Face hub: heads, adapter and a model card, in one commit. The
base model is named, not copied. Log in with `hf auth login` first.

  headrank push my-ranker OWNER/NAME --license apache-2.0 --private
  headrank rerank lists.jsonl --model OWNER/NAME

Prints the repository and the commit.
"""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "push",
        help="share a saved ranker on the Hugging Face hub",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="FOLDER", help="what save_pretrained wrote")
    parser.add_argument("repo", metavar="OWNER/NAME", help="made if it is not there")
    parser.add_argument("--license", metavar="ID", help="of heads and adapter, as the hub has it")
    parser.add_argument(
        "--results",
        metavar="FILE",
        help='numbers for the model card: a JSON list of {"metric", "value"}, and maybe '
        '"collection", "queries" and "note"',
    )
    parser.add_argument("--private", action="store_true", help="make a private repository")
    parser.add_argument("--message", metavar="TEXT", help="of the commit")
    return parser


def run(args: argparse.Namespace) -> None:
    """Push the folder; print where it is."""
    from headrank.io.files import read_json
    from headrank.ranker.push import push_folder

    commit = push_folder(
        args.folder,
        args.repo,
        results=() if args.results is None else read_json(args.results),
        license=args.license,
        private=args.private or None,
        message=args.message,
    )
    print(args.repo, commit)
