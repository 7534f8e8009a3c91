"""The workflow's scripts, as modules whose ``main`` a test calls."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"


def script(name: str) -> ModuleType:
    """Return a script of the workflow as a module."""
    spec = spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
