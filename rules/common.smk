import os
import re
import sys
import time
from copy import deepcopy
from functools import partial
from pathlib import Path

from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from headrank.workflow.caches import keep_caches_here
from headrank.workflow.config.changes import replaced
from headrank.workflow.provenance.future_files import check_clock
from headrank.workflow.report_file import table_of_page
from headrank.workflow.provenance.code_digest import code_digest
from headrank.workflow.config.checks import configure
from headrank.workflow.config.layouts import APART
from headrank.errors import HeadRankError
from headrank.io.files import json_sha256
from headrank.workflow.provenance.originals import Hashes
from headrank.workflow.planning import look_behind_ancient
from headrank.workflow.config.plain_yaml import check_config
from headrank.workflow.config.shown import told_first_stage, told_models
from headrank.workflow.experiment import FIRST, Experiment
from headrank.workflow.job_sizes import JobSizes
from headrank.workflow.own_files import OwnFiles
from headrank.workflow.provenance_inputs import ProvenanceInputs

ROOT = Path(workflow.basedir)
STARTED = time.time()

keep_caches_here(os.environ, ".")
# A user's collection is an ancient input of what is made from its splits (`settled`).
look_behind_ancient(DAG)

try:
    if workflow.is_main_process:
        check_config(workflow.configfiles, sys.argv[1:])
    configure(config)
except HeadRankError as error:
    raise WorkflowError(str(error)) from None


# The config as it decides results. Captions of the report see the one of Snakemake alone.
CONFIG = deepcopy(config)


# A folder of results may be named after all that decides them: results-<config>.
pathvars:
    config=json_sha256(config)[:12],


# What `<results>` stands for.
RESULTS = workflow.pathvars.apply("<results>")
# Whether files lie in an object store. It holds what rules declare and nothing else.
STORAGE = workflow.storage_settings.default_storage_provider
STORED = STORAGE is not None

try:
    if workflow.is_main_process:
        check_clock([RESULTS, "resources/collections", "resources/models", "resources/indexes"])
        if change := replaced(f"{RESULTS}/manifest.json", config):
            logger.warning(change)
except HeadRankError as error:
    raise WorkflowError(str(error)) from None


def cores():
    """This run's cores; None on a cluster and for `snakemake --report`, which have none."""
    try:
        return None if workflow.non_local_exec else workflow.cores
    except WorkflowError:
        return None


def code(script):
    """Digest of a script and the library behind it, so that a change of either repeats its jobs."""
    return code_digest(ROOT / f"workflow/scripts/{script}.py", ROOT)


experiment = Experiment(CONFIG, RESULTS, stored=STORED, exists=lambda path: exists(path))
config["told"] = {
    "first_stage": told_first_stage(CONFIG, experiment.own_run),
    "models": told_models(CONFIG),
    "main_table": table_of_page(f"{RESULTS}/tables/main.html"),
}
sizes = JobSizes(experiment, cores)
own = OwnFiles(experiment, Hashes("resources/.originals.json"), code("build_collection"))
provenance = ProvenanceInputs(experiment, ROOT, workflow.overwrite_configfiles)

try:
    if workflow.is_main_process:
        for message in own.check():
            logger.warning(message)
except HeadRankError as error:
    raise WorkflowError(str(error)) from None


def settled(collection, parts):
    """Parts of a collection whose content `own.data_of` tells: of a user's folder their time does not.

    The collection is made anew after any change of the folder, and with it its files' times.
    """
    return ancient(parts) if own.is_own(collection) else parts


def one_of(names):
    """Regular expression that matches these names, and nothing if there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def made(folder, *files):
    """What is declared of a folder that is made: files, or in an object store the folder.

    Never both: Snakemake removes its local copy of a file that no job asks for, and the folder that
    another job asks for would lack it.
    """
    return directory(folder) if STORED else [f"{folder}/{file}" for file in files]


def told(function, *arguments):
    """Input function whose error is a message to the user, without a traceback."""

    def files(wildcards):
        try:
            return function(*arguments)
        except HeadRankError as error:
            raise WorkflowError(str(error)) from None

    return files


def print_ending():
    """Tell the main table, the tests' outcome and the report, if this run finished the results."""
    if text := provenance.ending(STARTED):
        print(f"\n{text}\n", file=sys.stderr)


def remembering_no_absence(exists):
    """Let a storage object look again whether it is a folder, as long as it was none.

    The S3 plugin (0.3.6) keeps the answer from before the jobs: a folder that a pod made since would
    be missing forever.
    """

    def look(storage_object):
        storage_object._is_dir = storage_object._is_dir or None
        return exists(storage_object)

    return look


if STORAGE == "s3":
    from snakemake_storage_plugin_s3 import StorageObject

    StorageObject.exists = remembering_no_absence(StorageObject.exists)
