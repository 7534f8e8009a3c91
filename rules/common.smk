import re
from pathlib import Path
from types import SimpleNamespace

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from headrank.changes import replaced
from headrank.clock import check_clock
from headrank.codedigest import code_digest
from headrank.config import configure
from headrank.errors import HeadRankError
from headrank.files import json_sha256
from headrank.grid import mined_as, read_sets, shards, split_method, used_recipes
from headrank.labels import printed
from headrank.roles import ROLES, roles, roles_before
from headrank.sources.pypi import pinned_files
from headrank.variants import settings

ROOT = Path(workflow.basedir)

try:
    configure(config, yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text()))
except HeadRankError as error:
    raise WorkflowError(str(error)) from None


# A folder of results may be named after all that decides them: results-<config>.
pathvars:
    config=json_sha256(config)[:12],


# What `<results>` in the rules' patterns stands for.
RESULTS = workflow.pathvars.apply("<results>")

try:
    if workflow.is_main_process:
        check_clock([RESULTS, "resources/collections", "resources/models", "resources/indexes"])
        if change := replaced(f"{RESULTS}/manifest.json", config):
            logger.warning(change)
except HeadRankError as error:
    raise WorkflowError(str(error)) from None

MODELS = config["models"]
WEIGHTS = MODELS | config["encoders"]
COLLECTIONS = config["collections"]
SETS = config["sets"]
ROLE = roles(config)
METHODS = config["methods"]
EXPERIMENT = config["experiment"]
RECIPES = config["alignments"]
# Recipes that mine the same pairs share those of the first: {recipe: its first}.
MINED_AS = mined_as(config)
# An adapter is a recipe trained with one seed: {adapter: recipe}.
ADAPTERS = {f"{name}-{seed}": name for name, recipe in RECIPES.items() for seed in recipe["seeds"]}
ADAPTER_FILES = ["headrank.json", "heads.json", "adapter_config.json", "adapter_model.safetensors"]
PINS = {
    archive["file"]: archive
    for entry in [*WEIGHTS.values(), *COLLECTIONS.values()]
    for archive in pinned_files(entry["source"])
}
# Priority of what the training of adapters waits for: it is the longest chain of jobs, and
# started last it would leave all but one core idle.
FIRST = 10
# How many jobs read a set.
SHARDS = {name: shards(config, name) for name in read_sets(config)}
COLLECTION_FILES = ["corpus.jsonl", "queries.jsonl", "qrels.tsv"]
OPTIONAL_FILES = ["candidates.run", "excluded.tsv"]
INDEX_FILES = [
    "index.json",
    "documents.json",
    "vocab.index.json",
    "params.index.json",
    *(f"{part}.csc.index.npy" for part in ("data", "indices", "indptr")),
]
SET_FILES = ["queries.jsonl", "documents.jsonl", "candidates.run", "qrels.tsv", "set.json"]


def code(script):
    """Digest of a script and the library behind it, so that a change of either repeats its jobs."""
    return code_digest(ROOT / f"workflow/scripts/{script}.py", ROOT)


def call_of(*targets):
    """The call that makes some targets, without a path of this machine."""
    files = [Path(path).resolve() for path in workflow.overwrite_configfiles]
    names = [
        path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
        for path in files
    ]
    options = ["--configfile", *names] if names else []
    return " ".join(["snakemake", "--cores", "all", *targets, *options])


def one_of(names):
    """Regular expression that matches these names, and nothing if there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def methods_of(*kinds):
    """Declared methods of these kinds."""
    return [name for name, method in METHODS.items() if method["kind"] in kinds]


def sets_of(*among):
    """Sets of these roles that the experiment uses."""
    used = {*EXPERIMENT["sets"], *config["profiling"]["sets"]}
    for name in used_recipes(config):
        used |= {*RECIPES[name]["training"], RECIPES[name]["validation"]}
    return [name for name in SETS if name in used and ROLE[name] in among]


def index_files(collection):
    """Files of a collection's BM25 index, its card first."""
    return [f"resources/indexes/{collection}/{file}" for file in INDEX_FILES]


def set_files(name):
    """Files of a set of queries by kind: `queries`, `documents`, `candidates`, `qrels`, `set`."""
    return {file.split(".")[0]: f"{RESULTS}/sets/{name}/{file}" for file in SET_FILES}


def readings(sets, model, adapter, order):
    """Shards of the readings of some sets."""
    return [
        f"{RESULTS}/readings/{name}/{model}/{adapter}/{order}/{shard}.npz"
        for name in sets
        for shard in range(SHARDS[name])
    ]


def adapters_of(method):
    """Adapters that a method is evaluated with: one a seed of its recipe, or none."""
    recipe = METHODS[split_method(method)[0]].get("adapter")
    if recipe is None:
        return ["none"]
    return [f"{recipe}-{seed}" for seed in RECIPES[recipe]["seeds"]]


def weights_of(wildcards):
    """How a model's weights are loaded."""
    return {key: MODELS[wildcards.model][key] for key in ("dtype", "device")}


def prompt_of(recipe):
    """The prompt of a recipe's training lists."""
    return config["prompt"] | {"document_tokens": recipe["document_tokens"]}


def cells():
    """Every run of the experiment: set, model, adapter, order, method; `-` where one has no say."""
    for name in EXPERIMENT["sets"]:
        for method in EXPERIMENT["methods"]:
            if METHODS[split_method(method)[0]]["kind"] not in ("attention", "generative"):
                yield (name, "-", "-", "-", method)
                continue
            asked = METHODS[split_method(method)[0]].get("orders") or config["orders"]
            for model in EXPERIMENT["models"]:
                for adapter in adapters_of(method):
                    for order in asked:
                        yield (name, model, adapter, order, method)


def run_of(cell):
    """Path of a cell's run."""
    *folders, name = (part for part in cell if part != "-")
    return str(Path(RESULTS, "runs", *folders, f"{name}.run"))


def reading_priority(wildcards):
    """Readings that heads are selected on go first."""
    profiling = config["profiling"]
    first = (wildcards.adapter, wildcards.order) == ("none", profiling["order"])
    return FIRST if first and wildcards.set in profiling["sets"] else 0


def origin(source):
    """Files that a model or collection is made from; none if it comes over the network.

    A folder's own time stays when a file in it is overwritten, so its files are named. Without
    any the folder itself is, and Snakemake tells that it is missing. Of an object store too: it
    can be asked for a whole folder alone.
    """
    if source["kind"] != "local":
        return [f"resources/archives/{archive['file']}" for archive in pinned_files(source)]
    if STORED:
        return [source["path"]]
    folder = Path(source["path"])
    files = (path for path in folder.rglob("*") if path.is_file())
    # What tools keep beside the weights (.git, .cache) makes no model.
    seen = (p for p in files if not any(n.startswith(".") for n in p.relative_to(folder).parts))
    return sorted(map(str, seen)) or [source["path"]]


# Files that a user's folder may hold. An object store is asked here: an input function may not.
OPTIONAL = {
    name: [
        path
        for path in (f"{entry['source']['path']}/{file}" for file in OPTIONAL_FILES)
        if exists(path)
    ]
    for name, entry in COLLECTIONS.items()
    if entry["source"]["kind"] == "local"
}


def own_run(collection):
    """Whether a user's folder brings candidates of its own."""
    return any(Path(path).name == "candidates.run" for path in OPTIONAL.get(collection, []))


def collection_origin(wildcards):
    """Files that a collection is made from: the archive, or those of the user's folder."""
    source = COLLECTIONS[wildcards.collection]["source"]
    if source["kind"] != "local":
        return origin(source)
    return [f"{source['path']}/{name}" for name in COLLECTION_FILES] + OPTIONAL[
        wildcards.collection
    ]


def first_stage_source(wildcards):
    """The imported run of a split, or the BM25 index; none where the collection has candidates."""
    name, split = wildcards.collection, wildcards.split
    collection = COLLECTIONS[name]
    if split in collection["runs"]:
        return {"run": collection["runs"][split]}
    if collection["first_stage"] == "own" or (
        collection["first_stage"] == "auto" and own_run(name)
    ):
        return {}
    card, *others = index_files(name)
    return {"index": card, "postings": others}


def first_stage_run(wildcards):
    """The first stage's run that a set of queries is sampled from."""
    chosen = SETS[wildcards.set]
    return f"{RESULTS}/retrieval/{chosen['collection']}/{chosen['split']}.run"


def earlier_sets(wildcards):
    """Queries that this set may not hold: those of the roles before its own."""
    earlier = sets_of(*roles_before(ROLE[wildcards.set]))
    return [f"{RESULTS}/sets/{name}/queries.jsonl" for name in earlier]


def folded_heads(name, model, adapter):
    """The selected heads that a method folds; none for a method of all heads."""
    method = METHODS[name]
    if method["heads"] == "all":
        return []
    profile = f"{model}/aligned/{adapter}" if method["reselect"] else model
    return [f"{RESULTS}/profiles/{profile}/heads/{method['heads']}.json"]


def ranking_heads(wildcards):
    """The selected heads of a run."""
    return folded_heads(wildcards.method, wildcards.model, wildcards.adapter)


def used_models():
    """Models and encoders that the experiment loads."""
    encoders = [METHODS[split_method(method)[0]].get("encoder") for method in EXPERIMENT["methods"]]
    decoders = EXPERIMENT["models"] if any(cell[1] != "-" for cell in CELLS) else []
    return [*decoders, *dict.fromkeys(name for name in encoders if name)]


def used_collections():
    """Collections of the experiment's sets."""
    return list(dict.fromkeys(SETS[name]["collection"] for name in sets_of(*ROLES)))


def fold_of(name):
    """How a method folds its heads: the arguments of headrank.methods.Fold."""
    return {key: METHODS[name][key] for key in ("calibrate", "outliers", "aggregation")}


CELLS = list(cells())


def adapter_files(wildcards):
    """Files of the adapter that a reading puts into the model."""
    if wildcards.adapter == "none":
        return []
    folder = f"{RESULTS}/adapters/{wildcards.model}/{wildcards.adapter}"
    return [f"{folder}/{name}" for name in ADAPTER_FILES]


def reader_cards(cell, method):
    """What tells which processes ranked the shards of a method that runs its own model."""
    folder = f"{RESULTS}/parts/{cell}/{method}"
    return [f"{folder}/{shard}.reader.json" for shard in range(SHARDS[cell.split("/")[0]])]


def made_from(cell):
    """What a cell's run was made from, or which processes ranked with a model of their own.

    Readings, heads and adapter, records of answers, or cards of readers.
    """
    name, model, adapter, order, method = cell
    method = split_method(method)[0]
    if METHODS[method]["kind"] == "generative":
        return generations(name, model, order, method)
    if METHODS[method]["kind"] == "dense":
        return [f"{RESULTS}/runs/{name}/{method}.reader.json"]
    if METHODS[method]["kind"] == "cross-encoder":
        return reader_cards(name, method)
    if METHODS[method]["kind"] != "attention":
        return []
    own = SimpleNamespace(method=method, model=model, adapter=adapter)
    if METHODS[method]["truncated"]:
        read = reader_cards(f"{name}/{model}/{adapter}/{order}", method)
    else:
        read = readings([name], model, adapter, order)
    return [*read, *ranking_heads(own), *adapter_files(own)]


def recipe_of(wildcards):
    """Alignment recipe of a wildcard `recipe`, or of an adapter `RECIPE-SEED`."""
    name = getattr(wildcards, "recipe", None) or wildcards.adapter.rpartition("-")[0]
    return RECIPES[name]


def mined_pairs(wildcards):
    """The pairs that an adapter is trained on."""
    recipe = MINED_AS[wildcards.adapter.rpartition("-")[0]]
    return f"{RESULTS}/pairs/{wildcards.model}/{recipe}/pairs.csv"


def training_input(wildcards):
    """Sets, model and heads that a recipe trains with."""
    recipe = recipe_of(wildcards)
    files = [set_files(name) for name in recipe["training"]]
    return {
        "queries": [entry["queries"] for entry in files],
        "documents": [entry["documents"] for entry in files],
        "candidates": [entry["candidates"] for entry in files],
        "qrels": [entry["qrels"] for entry in files],
        "roles": f"{RESULTS}/sets/roles.json",
        "model": model_part(wildcards.model),
        "heads": f"{RESULTS}/profiles/{wildcards.model}/heads/{recipe['selection']}.json",
    }
