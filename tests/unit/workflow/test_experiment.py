"""The files of an experiment: runs, what they are made from, sets, collections, resources."""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest

from headrank.errors import HeadRankError
from headrank.workflow.claimed import claim_files, claim_inputs, claim_setup, claimed_method
from headrank.workflow.config.checks import configure
from headrank.workflow.experiment import Experiment
from headrank.workflow.job_sizes import JobSizes
from headrank.workflow.own_files import OwnFiles
from headrank.workflow.provenance.originals import Hashes
from headrank.workflow.provenance_inputs import ProvenanceInputs
from headrank.workflow.studies import evaluation_files, middle_before
from headrank.workflow.timed import latency_files, report_index, timed_files
from tests.helpers.base_config import BASE


def experiment(change=None, **options):
    config = deepcopy(BASE)
    if change:
        change(config)
    configure(config)
    return Experiment(config, "out", **options)


def named(**wildcards):
    return SimpleNamespace(**wildcards)


def test_a_corrected_judgment_reads_no_list_again():
    x = experiment()
    for files in (x.files_of_set(named(set="lee")), x.lists_of("lee")):
        assert [Path(file).name for file in files] == [
            "queries.jsonl",
            "documents.jsonl",
            "candidates.run",
        ]


def test_a_method_without_a_model_has_one_run_a_set_and_others_one_a_model_adapter_and_order():
    x = experiment()
    assert len(x.cells) == len(set(x.cells))
    free = {cell for cell in x.cells if cell[1] == "-"}
    kinds = {x.declared[cell[4].split("+")[0]]["kind"] for cell in free}
    assert "attention" not in kinds and "generative" not in kinds
    for name in x.sets:
        assert (name, "-", "-", "-", "bm25") in free
    aligned = {c[2] for c in x.cells if x.declared[c[4].split("+")[0]].get("adapter")}
    assert aligned <= set(x.adapters) and aligned
    assert {cell[3] for cell in x.cells if cell[1] != "-"} == set(x.config["orders"])


def test_the_path_of_a_run_leaves_out_what_has_no_say():
    x = experiment()
    assert x.run_of(("lee", "-", "-", "-", "bm25")) == "out/runs/lee/bm25.run"
    cell = ("lee", "smollm2", "none", "shuffled", "icr")
    assert x.run_of(cell) == "out/runs/lee/smollm2/none/shuffled/icr.run"


def test_a_run_is_made_from_its_readings_heads_and_adapter():
    x = experiment()
    adapter = x.adapters_of("headrank")[0]
    found = x.made_from(("lee", "smollm2", adapter, "shuffled", "headrank"))
    assert f"out/readings/lee/smollm2/{adapter}/shuffled/0.npz" in found
    assert f"out/adapters/smollm2/{adapter}/adapter_model.safetensors" in found
    assert x.made_from(("lee", "-", "-", "-", "bm25")) == []
    fused = x.made_from(("lee", "smollm2", adapter, "shuffled", "headrank+bm25"))
    assert fused == found


def test_a_method_that_selects_again_folds_the_heads_of_its_adapter():
    x = experiment(lambda config: config["methods"]["headrank"].update(reselect=True))
    (path,) = x.ranking_heads(named(method="headrank", model="smollm2", adapter="insuranceqa-1"))
    assert path.startswith("out/profiles/smollm2/aligned/insuranceqa-1/heads/")
    assert x.ranking_heads(named(method="icr", model="smollm2", adapter="none")) == []


def test_only_the_readings_that_select_heads_come_first():
    x = experiment()
    profiled, order = x.config["profiling"]["sets"][0], x.config["profiling"]["order"]
    first = named(set=profiled, adapter="none", order=order)
    assert x.reading_priority(first) > 0
    assert x.reading_priority(named(set=profiled, adapter="a-1", order=order)) == 0
    assert x.reading_priority(named(set="lee", adapter="none", order=order)) == 0


def test_a_users_folder_is_named_file_by_file_without_what_tools_keep_there(tmp_path):
    for name in ("b.bin", "a.json", ".git/config", "sub/c.txt", ".cache/x"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    x = experiment()
    source = {"kind": "local", "path": str(tmp_path)}
    assert x.origin(source) == [str(tmp_path / n) for n in ("a.json", "b.bin", "sub/c.txt")]
    missing = {"kind": "local", "path": str(tmp_path / "nowhere")}
    assert x.origin(missing) == [missing["path"]]
    assert experiment(stored=True).origin(source) == [str(tmp_path)]


def local(config, first_stage="auto"):
    config["collections"]["lee"] = {
        "source": {"kind": "local", "path": "data/mine"},
        "first_stage": first_stage,
    }


@pytest.mark.parametrize(
    ("first_stage", "has_run", "imported"),
    [("auto", True, True), ("auto", False, False), ("bm25", True, False), ("own", True, True)],
)
def test_candidates_of_a_users_folder_replace_bm25_unless_told_otherwise(
    first_stage, has_run, imported
):
    x = experiment(
        lambda config: local(config, first_stage),
        exists=lambda path: has_run and path.endswith("candidates.run"),
    )
    split = x.declared_sets["lee"]["split"]
    assert x.imported("lee", split) is imported
    found = x.first_stage_source(named(collection="lee", split=split))
    assert ("index" in found) is not imported
    own = "data/mine/candidates.run" in x.collection_origin(named(collection="lee"))
    assert own is has_run


def test_an_object_store_is_asked_for_folders():
    assert experiment().model_part("smollm2") == ["resources/models/smollm2/headrank.json"]
    assert experiment(stored=True).model_part("smollm2") == ["resources/models/smollm2"]


def test_a_role_gives_up_the_queries_of_those_before_it():
    x = experiment()
    own = OwnFiles(x, Hashes(), "code")
    tested = own.earlier_sets(named(set=x.sets[0]))
    assert tested == []
    profiled = x.config["profiling"]["sets"][0]
    earlier = own.earlier_sets(named(set=profiled))
    assert {f"out/sets/{name}/queries.jsonl" for name in x.sets} <= set(earlier)


def test_what_the_claims_need_is_told_where_no_method_is_aligned():
    x = experiment()
    assert claimed_method(x) == "headrank"
    assert claim_files(x) and claim_setup(x)["method"] == "headrank"
    cards = {x.adapter_file("smollm2", adapter) for adapter in x.adapters}
    needed = set(claim_inputs(x)["needed"])
    assert needed - cards == {x.adapter_file("smollm2", x.adapters_of("headrank")[0], "heads.json")}
    assert needed & cards

    def plain(config):
        config["experiment"]["methods"] = ["bm25", "icr"]
        config["evaluation"]["comparisons"] = []
        config["report"] = {"set": config["experiment"]["sets"][0]}
        config["ablations"] = {}

    x = experiment(plain)
    assert claimed_method(x) is None and claim_files(x) == [] and claim_setup(x) is None
    with pytest.raises(HeadRankError, match="names no method with an adapter"):
        claim_inputs(x)
    assert evaluation_files(x) == ["out/evaluation/per_query.parquet"]


def test_an_aligned_methods_middle_zone_is_paired_with_its_unaligned_one():
    assert middle_before(experiment(), "smollm2").get("headrank") == "headrank-untuned"


def test_what_is_timed_is_asked_for():
    x = experiment()
    files = timed_files(x, "smollm2")
    assert "out/profiles/smollm2/heads/headrank.json" in files
    assert "out/adapters/smollm2/insuranceqa-1/adapter_model.safetensors" in files
    assert "resources/models/minilm/headrank.json" in files
    assert len(files) == len(set(files))
    first = "out/latency/first-stage.csv"
    assert (first in latency_files(x, "smollm2")) == bool(report_index(x))


def test_a_job_that_failed_asks_for_more_and_the_cpu_for_no_gpu():
    x = experiment(lambda config: config["models"]["smollm2"].update(device="cpu"))
    sizes = JobSizes(x, lambda: 4)
    model = named(model="smollm2")
    assert sizes.memory(model, 2) == 2 * sizes.memory(model, 1) > 0
    assert sizes.double_memory(model, 1) == 2 * sizes.memory(model, 1)
    assert sizes.on_gpu(1)(model) is None
    assert sizes.torch_env(model).endswith("torch-cpu.yaml")
    assert sizes.all_cores(model) == 4


def test_auto_asks_a_cluster_for_a_gpu_and_a_machine_only_where_it_has_one(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    x = experiment(lambda config: config["models"]["smollm2"].update(device="auto"))
    model = named(model="smollm2")
    assert JobSizes(x, lambda: None).on_gpu("nvidia")(model) == "nvidia"
    assert JobSizes(x, lambda: 2).on_gpu("nvidia")(model) is None
    assert JobSizes(x, lambda: None).all_cores(model) == x.config["reading"]["threads"]


def test_the_command_that_made_results_holds_no_path_of_a_machine(tmp_path):
    root = Path("/repo")
    given = [root / "config/a.yaml", tmp_path / "mine.yaml"]
    found = ProvenanceInputs(experiment(), root, given).command("claims")
    assert found == "snakemake --cores all claims --configfile config/a.yaml mine.yaml"
    assert ProvenanceInputs(experiment(), root, []).command() == "snakemake --cores all"


def test_the_metadata_of_a_set_can_be_a_pattern():
    provenance = ProvenanceInputs(experiment(), Path("/repo"), [])
    first = provenance.cells()[0][0]
    pattern = provenance.metadata("{set}")
    assert [path.format(set=first) for path in pattern] == provenance.metadata(first)
    assert len(provenance.metadata()) == len(provenance.runs())
