"""``headrank verify``: are results still what their manifest notes?"""

from __future__ import annotations

import argparse

from headrank.errors import HeadRankError

_DESCRIPTION = """\
Hash every file of a results' folder again and compare it with manifest.json, with the cards
of adapters, models and collections, and with the metadata beside the runs. Your own files that
the config names are compared with those that the results were made from.

  headrank verify results/

One line on stdout for each file that is missing, changed or unlisted; exit code 1 if there is
any. A manifest that an object store's job wrote lists some of the files: others are no fault.
Models, collections and files of yours that are not on this machine are named and not checked.
"""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "verify",
        help="hash results again and compare them with their manifest",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="RESULTS", help="folder that holds manifest.json")
    parser.add_argument(
        "--resources",
        metavar="DIR",
        help="folder of models and collections (default: resources beside RESULTS)",
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Print what is wrong.

    Raises:
        HeadRankError: something is.
    """
    from headrank.workflow.provenance.verify import verify_results

    found = verify_results(args.folder, args.resources)
    for word in ("missing", "changed", "unlisted"):
        for line in getattr(found, word):
            print(f"{word}  {line}")
    for line in found.absent:
        print(f"not here, not checked  {line}")
    if not found.sound:
        raise HeadRankError(
            f"{args.folder}: {len(found.missing)} missing, {len(found.changed)} changed, "
            f"{len(found.unlisted)} unlisted; delete the results that changed and run "
            "`snakemake --cores all` again; if files were added on purpose, write the manifest "
            "anew with `--forcerun manifest`"
        )
    print(f"{args.folder}: {found.checked} files are as noted")
