"""The commands and code that the documents print, and how a test runs each of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.workflow.running import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "config/README.md",
]
LANGUAGES = {"sh", "python", "yaml", "text", "json", "mermaid"}
"""What a fenced block may hold: ``text`` is output, ``json`` a file's line, ``mermaid`` a chart."""
_PROGRAMS = "snakemake|make|headrank|python|pip|nice|docker|kubectl|git|source|micromamba"


@dataclass(frozen=True)
class Printed:
    """One block or command.

    Attributes:
        place: file and line.
        language: of its fence; ``sh`` for a command in a sentence.
        text: as printed.
        after: the block of text that follows it, its output; empty if there is none.
    """

    place: str
    language: str
    text: str
    after: str = ""


@dataclass(frozen=True)
class Rule:
    """How a command is run.

    Attributes:
        pattern: of the whole command.
        how: ``run`` as printed; ``plan`` with ``--dry-run``; ``leave``: not run, see ``reason``.
        reason: why a command is not run as printed.
        put: ``{placeholder: what a reader would write}``.
    """

    pattern: str
    how: str
    reason: str = ""
    put: tuple[tuple[str, str], ...] = ()

    def written(self, command: str) -> str:
        """Return the command as a reader would type it."""
        for placeholder, value in self.put:
            command = command.replace(placeholder, value)
        return command


LONG = "takes minutes to hours; tests/workflow runs such experiments on tiny models"
RULES = (
    Rule(r"make( demo| report)?", "plan", LONG),
    Rule(r"make (test|test-fast|test-cluster|lint|environment|clean)( .*)?", "plan", LONG),
    Rule(r"make [A-Z_]+=\S+.*", "plan", "installs packages"),
    Rule(r"source \.venv/bin/activate", "run"),
    Rule(r"export( [A-Z_0-9]+=\S+)+", "leave", "sets the reader's own secrets"),
    Rule(r"snakemake --unlock", "run"),
    Rule(r"snakemake estimate", "plan", "the demo's speeds are recorded by its first run"),
    Rule(r"snakemake estimate .*|snakemake .* estimate", "run"),
    Rule(
        r"(PYTHONPATH=\S+ )?snakemake .*--workflow-profile .*",
        "leave",
        "needs a cluster and its plugin; tests/cluster/test_profiles.py runs the profiles",
    ),
    Rule(
        r"(PYTHONPATH=\S+ )?snakemake .*--default-storage-provider .*",
        "leave",
        "needs an object store; tests/cluster/test_storage.py runs one",
    ),
    Rule(
        r"snakemake .*--sdm conda.*|snakemake .*--use-conda.*",
        "leave",
        "builds environments; tests/workflow/test_conda.py does",
    ),
    Rule(r"snakemake( .*)?", "plan", LONG, (("RULE", "evaluate"), ("table_NAME", "table_main"))),
    Rule(r"headrank fetch .*", "run"),
    Rule(
        r"headrank verify( .*)?",
        "leave",
        "needs a finished run; tests/workflow/test_verify.py runs it",
    ),
    Rule(
        r"headrank \w+( --(device cuda|window 20|both-layouts|format trec|run))?",
        "leave",
        "names a command or an option in a sentence; the blocks run the commands",
    ),
    Rule(r"python -m headrank(\.\w+)+( [\w.]+)?", "run"),
    Rule(r"(headrank serve|curl) .*", "leave", "serves until it is stopped; tests/unit/serve does"),
    Rule(r"headrank push .*", "leave", "writes to the hub; test_sharing.py has a stand-in"),
    Rule(r"headrank .* --model meta-llama/.*", "leave", "needs the hub and a GPU"),
    Rule(r"headrank .*", "run", put=(("COMMAND", "rerank"),)),
    Rule(
        r"(nice -n \d+ )?python -m (benchmarks|pytest).*",
        "leave",
        "takes minutes to hours; tests/unit/timing/test_benchmarks.py runs each benchmark small",
    ),
    Rule(r"python -m build", "leave", "tests/unit/test_wheel.py builds the wheel"),
    Rule(r"python examples/.*", "leave", "tests/unit/test_examples.py runs the examples"),
    Rule(r"pip (install|download) .*", "leave", "installs packages; the tests' own are pinned"),
    Rule(r"docker .*", "leave", "needs a container engine"),
    Rule(r"kubectl .*", "leave", "needs a cluster; tests/cluster/test_kubernetes.py has pods"),
    Rule(r"micromamba .*", "leave", "makes an environment; tests/workflow/test_conda.py has one"),
    Rule(r"git clone .*", "leave", "names a repository elsewhere"),
)
"""The first rule whose pattern matches a whole command says how it is run; one must match."""


def blocks() -> Iterator[Printed]:
    """Yield every fenced block of the documents, with the output that follows it."""
    for path in DOCUMENTS:
        found: list[Printed] = []
        text = path.read_text()
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
            line = text.count("\n", 0, match.start()) + 1
            one = Printed(f"{path.relative_to(ROOT)}:{line}", match[1], match[2])
            if one.language == "text" and found:
                found[-1] = replace(found[-1], after=one.text)
            found.append(one)
        yield from found


def commands(block: Printed) -> list[str]:
    """Return the commands of a shell block: continued lines joined, comments left out."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def sentences() -> Iterator[Printed]:
    """Yield each command that stands between backticks in a sentence."""
    for path in DOCUMENTS:
        fenced = re.compile(r"^```.*?^```$", re.M | re.S)
        text = fenced.sub(lambda found: "\n" * found[0].count("\n"), path.read_text())
        for match in re.finditer(rf"`((?:{_PROGRAMS}) [^`]+)`", text):
            line = text.count("\n", 0, match.start()) + 1
            command = " ".join(match[1].split())
            yield Printed(f"{path.relative_to(ROOT)}:{line}", "sh", command)


def calls() -> Iterator[Printed]:
    """Yield each call of one of our classes or functions that stands in a sentence."""
    for path in DOCUMENTS:
        for match in re.finditer(r"`([A-Za-z_]+(?:\.\w+)?\([^`]*\))`", path.read_text()):
            line = path.read_text().count("\n", 0, match.start()) + 1
            yield Printed(f"{path.relative_to(ROOT)}:{line}", "python", match[1])


def rule_of(command: str) -> Rule | None:
    """Return the first rule for a command."""
    return next((rule for rule in RULES if re.fullmatch(rule.pattern, command)), None)


def defined_in(name: str) -> str | None:
    """Return the module that defines a class or function of ours, by its source."""
    for path in sorted((ROOT / "headrank").rglob("*.py")):
        if re.search(rf"^(?:class|def) {name}\b", path.read_text(), re.M):
            return ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return None


def folder_of_a_reader(folder: Path) -> Path:
    """Return a copy of this repository's files, with its environment, models and collections."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in (".venv", "resources"):
        (folder / name).symlink_to(ROOT / name)
    return folder
