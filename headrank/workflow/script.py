"""A script of the workflow: its function is called with what its rule declares, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from headrank.io.files import folder_of
from headrank.models.devices import on_device
from headrank.workflow.job import job_log, noted_resume, one_gpu

Folder = Annotated[Path, "folder"]
"""A folder that a rule names by files in it, or itself where it is made or fetched as a whole."""
WAITED_FOR = frozenset({"code", "data", "own", "needed", "roles"})
"""What only decides when a job runs, and may be left out by a script: digests, files waited for."""


def run_job(main: Callable[..., Any], job: Any, *, gpu: str | None = None) -> Any:
    """Call a script's function within its log, and return what it returns.

    Args:
        job: Snakemake's object of the job.
        gpu: the parameter that says how weights are loaded: one GPU is claimed if its ``device``
            may be one, and ``auto`` becomes the device that there is.

    Raises:
        TypeError: as `arguments`.
    """
    checkpoint = dict(job.params.items()).get("checkpoint")
    with job_log(job.log[0]), noted_resume(checkpoint):
        values = arguments(main, job)
        if gpu is None:
            return main(**values)
        with one_gpu(values[gpu]["device"]):
            return main(**values | {gpu: on_device(values[gpu])})


def arguments(main: Callable[..., Any], job: Any) -> dict[str, Any]:
    """Return the arguments of a function from the rule's names.

    A parameter takes the input, output or param of its name, else the wildcard, else ``threads``.
    An output without a name is called ``target``; inputs without one are waited for. Files and
    wildcards become what the parameter's annotation says: ``str`` and ``Path`` are one file,
    `Folder` is the folder of the files, and no file at all is None where that is allowed.

    Raises:
        TypeError: a parameter that the rule does not name, or names twice; a name of an input or
            param that the function does not take; more files than one where one is expected.
    """
    hints = get_type_hints(main, include_extras=True)
    taken = inspect.signature(main).parameters
    rest = any(one.kind is one.VAR_KEYWORD for one in taken.values())
    parts = {"input": dict(job.input.items()), "output": dict(job.output.items())}
    parts["params"] = dict(job.params.items())
    if not parts["output"] and len(job.output):
        parts["output"] = {"target": list(job.output)}
    where = f"rule {job.rule}: main"
    declared: dict[str, tuple[str, Any]] = {}
    for part, values in parts.items():
        for name, value in values.items():
            if name in declared and name in taken:
                raise TypeError(f"{where}'s {name!r} is an {declared[name][0]} and one of {part}")
            declared[name] = (part, value)
    unknown = [
        name
        for name, (part, _) in declared.items()
        if name not in taken and part != "output" and name not in WAITED_FOR
    ]
    if unknown and not rest:
        raise TypeError(
            f"{where} does not take {', '.join(map(repr, unknown))}, which the rule names"
        )
    found = {}
    for name, one in taken.items():
        if one.kind is one.VAR_KEYWORD:
            continue
        if name in declared:
            part, value = declared[name]
        elif name in job.wildcards.keys():  # noqa: SIM118  no mapping
            part, value = "wildcards", job.wildcards[name]
        elif name == "threads":
            part, value = "threads", job.threads
        elif one.default is not one.empty:
            continue
        else:
            raise TypeError(f"{where} takes {name!r}, which the rule does not name")
        try:
            found[name] = _as(hints.get(name), value, part)
        except ValueError as error:
            raise TypeError(f"{where}'s {name!r}: {error}") from None
    for name in unknown:
        part, value = declared[name]
        found[name] = list(value) if part == "input" and not isinstance(value, str) else value
    return found


def _as(hint: Any, value: Any, part: str) -> Any:
    """Return a value as an annotation asks for it.

    Raises:
        ValueError: it cannot be.
    """
    optional = get_origin(hint) in (Union, UnionType)
    if optional:
        hint = next(one for one in get_args(hint) if one is not NoneType)
    if part == "params":
        return Path(value) if hint is Path else value
    if part in ("wildcards", "threads"):
        return int(value) if hint is int else value
    files = [value] if isinstance(value, str) else list(value)
    if get_origin(hint) is list:
        if get_args(hint)[0] == Folder:
            return list(dict.fromkeys(map(folder_of, files)))
        return files
    if optional and not files:
        return None
    if hint == Folder:
        folders = {Path(value)} if isinstance(value, str) else set(map(folder_of, files))
        if len(folders) != 1:
            raise ValueError(f"one folder is expected, and the files lie in {len(folders)}")
        return folders.pop()
    if hint in (str, Path):
        if len(files) != 1:
            raise ValueError(f"one file is expected, and there are {len(files)}")
        return hint(files[0])
    raise ValueError(f"a file cannot become {hint}")
