"""The ``Dockerfile`` without an engine: what its instructions name is there, and stays small."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from headrank.cli import parser

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
LAID = "/opt/headrank/"  # where the images have the repository's files


def stages() -> dict[str, list[tuple[str, str]]]:
    """Return each stage's (instruction, rest), lines joined; the first is its FROM."""
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    found: dict[str, list[tuple[str, str]]] = {}
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            own = found.setdefault(rest.rpartition(" AS ")[2], [])
        if instruction:
            own.append((instruction, rest))
    return found


def rests(stage: str, instruction: str) -> list[str]:
    return [rest for name, rest in stages()[stage] if name == instruction]


def ancestors(stage: str) -> list[str]:
    """Return a stage and those that it begins from, itself first."""
    found = []
    while stage in stages():
        found.append(stage)
        stage = rests(stage, "FROM")[0].split()[0]
    return found


def ignored() -> list[str]:
    return (ROOT / ".dockerignore").read_text().split()


def test_stages_begin_from_earlier_ones():
    # `docker build` without a target makes the last one.
    names = list(stages())
    assert names[0] == "base" and names[-1] == "workflow" and "serve" in names
    for number, name in enumerate(names):
        for rest in rests(name, "COPY"):
            for earlier in re.findall(r"--from=(\S+)", rest):
                assert earlier in names[:number]
        if number:
            assert rests(name, "FROM")[0].split()[0] in names[:number]
    documents = [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    targets = re.findall(r"--target ([a-z]+)", TEXT + "".join(documents))
    assert targets and set(targets) <= set(names)


def test_what_is_copied_is_there_and_sent_to_the_engine():
    copied = [
        source
        for name in stages()
        for rest in rests(name, "COPY")
        if "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert "pyproject.toml" in copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert not any(fnmatch.fnmatch(source, pattern) for pattern in ignored()), source


def test_a_wheel_is_made_of_all_that_it_declares():
    """A stage that builds from less makes a wheel that lacks files, without an error."""
    (copied,) = [
        {source for rest in rests(name, "COPY") for source in rest.split()[:-1]}
        for name in stages()
        if any("pip wheel" in rest for rest in rests(name, "RUN"))
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {"pyproject.toml", "headrank", project["project"]["readme"]}
    needed |= set(project["project"]["license-files"])
    for patterns in project["tool"]["setuptools"]["data-files"].values():
        needed |= {Path(pattern).parts[0] for pattern in patterns}
    assert copied == needed


def test_no_source_is_left_in_the_server_s_image():
    """pip builds beside the code that it is given."""
    copied = [rest for name in ancestors("serve") for rest in rests(name, "COPY")]
    assert copied and all(
        "--from=" in rest or rest.split()[:-1] == ["requirements.lock"] for rest in copied
    )


@pytest.mark.parametrize("stage", ["serve", "workflow"])
def test_a_change_of_the_code_downloads_no_torch(stage):
    (torch,) = [
        name
        for name in ancestors(stage)
        if any(re.search(r" torch==[\d.]+$", rest) for rest in rests(name, "RUN"))
    ]
    for name in ancestors(torch):
        assert all(rest.split()[:-1] == ["requirements.lock"] for rest in rests(name, "COPY"))


@pytest.mark.parametrize("stage", list(stages()))
def test_commands_use_variables_of_their_own_stage(stage):
    """ARG ends with its stage, and a name that is not declared is empty without an error."""
    declared: set[str] = set()
    for instruction, rest in stages()[stage]:
        used = re.findall(r"\$\{?([A-Z_]+)", rest) if instruction != "HEALTHCHECK" else []
        assert set(used) <= declared, rest
        if instruction in ("ARG", "ENV"):
            declared |= {pair.partition("=")[0] for pair in rest.split()}


def test_pip_leaves_no_cache_and_takes_the_lock_s_versions():
    """Where no constraint is given: the package alone, and the lock itself."""
    calls = [
        shlex.split(call)
        for name in stages()
        for rest in rests(name, "RUN")
        for call in rest.split("&&")
    ]
    assert len(calls) >= 4
    for call in calls:
        assert call[0] == "pip"
        assert {"--no-cache-dir", "--disable-pip-version-check"} <= set(call), call
        whole = {"--constraint", "--requirement"} & set(call)
        assert "--no-deps" in call or (f"{LAID}requirements.lock" in call and whole), call


def test_paths_of_the_image_are_the_repository_s():
    named = re.findall(rf"{LAID}([\w./-]+\w)", "\n".join(rests("workflow", "ENV")))
    named += [
        word.removeprefix(LAID)
        for rest in rests("workflow", "CMD")
        for word in json.loads(rest)
        if word.startswith(LAID)
    ]
    assert "Snakefile" in named
    assert all((ROOT / path).is_file() for path in named), named


def test_the_server_s_arguments_are_taken():
    (entry,) = map(json.loads, rests("serve", "ENTRYPOINT"))
    command = entry[entry.index("headrank") + 1 :]
    args = parser().parse_args([*command, "--model", "m"])
    assert args.host == "0.0.0.0"
    (port,) = rests("serve", "EXPOSE")
    assert int(port) == args.port
    (check,) = rests("serve", "HEALTHCHECK")
    (test,) = json.loads(check.partition("CMD ")[2])[2:]
    compile(test, "HEALTHCHECK", "exec")
    assert f"http://127.0.0.1:{port}/health" in test
    extras = re.search(r"\[([\w,]+)\]", " ".join(rests("serve", "RUN")))[1].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "serve" in extras and set(extras) <= project["optional-dependencies"].keys()


def test_the_server_is_no_root_in_user_or_group():
    """A number without a group has the group of root."""
    (user,) = rests("serve", "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_what_git_ignores_and_what_runs_write_stays_out_of_images():
    names = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    mounted = re.findall(r'--volume "\$PWD/(\w+):', TEXT)
    assert mounted
    assert {*names, *mounted} <= {pattern.removeprefix("**/") for pattern in ignored()}
