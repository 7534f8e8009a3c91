"""Caches of libraries stay out of a user's home, and what the user says or has stays."""

from headrank.workflow.caches import keep_caches_here


def test_caches_are_kept_with_the_experiment(tmp_path):
    found = {"HOME": str(tmp_path)}
    keep_caches_here(found, tmp_path / "work")
    assert found["MPLCONFIGDIR"] == str(tmp_path / "work/.snakemake/matplotlib")
    assert found["IR_DATASETS_HOME"] == str(tmp_path / "work/resources/ir_datasets")
    assert set(found) == {"HOME", "MPLCONFIGDIR", "IR_DATASETS_HOME"}


def test_what_the_user_says_or_has_stays(tmp_path):
    (tmp_path / ".ir_datasets").mkdir()
    found = {"HOME": str(tmp_path), "MPLCONFIGDIR": "mine"}
    keep_caches_here(found, tmp_path / "work")
    assert found == {"HOME": str(tmp_path), "MPLCONFIGDIR": "mine"}
