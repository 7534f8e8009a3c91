"""The digest follows imports, and leaves out what decides no number."""

from pathlib import Path

import pytest

from headrank.workflow.provenance.code_digest import PLUMBING, code_digest, modules_behind

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path):
    """Return a folder with a script that imports one, which imports two.three."""
    files = {
        "headrank/__init__.py": (
            "if TYPE_CHECKING:\n    from headrank.three.lazy import f as shown\n"
        ),
        "headrank/one.py": (
            "import numpy\nfrom headrank.two import three\n"
            "if TYPE_CHECKING:\n    from headrank.other import Kind\n"
        ),
        "headrank/two/__init__.py": "",
        "headrank/two/three.py": "import headrank.one\n",
        "headrank/other.py": "",
        "headrank/errors.py": "",
        "headrank/three/__init__.py": "",
        "headrank/three/lazy.py": "",
        "face.py": "from headrank import shown\n",
        "script.py": "def main():\n    from headrank.one import f\n    import headrank.errors\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_modules_behind(project):
    found = {
        path.relative_to(project).as_posix()
        for path in modules_behind(project / "script.py", project)
    }
    assert found == {"headrank/one.py", "headrank/two/__init__.py", "headrank/two/three.py"}


def test_names_of_the_whole_package_are_followed_to_their_module(project):
    found = modules_behind(project / "face.py", project)
    names = {path.relative_to(project).as_posix() for path in found}
    assert names == {"headrank/three/__init__.py", "headrank/three/lazy.py"}


@pytest.mark.parametrize(
    "name, changes",
    [
        ("script.py", True),
        ("headrank/one.py", True),
        ("headrank/two/three.py", True),
        ("headrank/other.py", False),
        ("headrank/errors.py", False),
    ],
)
def test_digest(project, name, changes):
    before = code_digest(project / "script.py", project)
    copy = project / "copy"
    # The imports of a file are read once a process, so a changed project stands elsewhere.
    for path in list(project.rglob("*.py")):
        target = copy / path.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text() + ("# changed\n" if target == copy / name else ""))
    assert (code_digest(copy / "script.py", copy) != before) is changes


def test_plumbing_exists_and_readings_depend_on_what_reads():
    for name in PLUMBING:
        place = ROOT / name.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), name
    behind = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in modules_behind(ROOT / "workflow/scripts/read_set.py", ROOT)
    }
    assert behind >= {
        "headrank.models.attention",
        "headrank.data.candidates",
        "headrank.models.decoder",
        "headrank.reading.prompt",
        "headrank.reading.lists",
        "headrank.reading.prefill",
        "headrank.reading.readings",
    }
    assert not behind & {
        "headrank.workflow.config.checks",
        "headrank.evaluation.measures",
        "headrank.heads.fold",
        "headrank.heads.profile",
    }
