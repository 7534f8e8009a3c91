"""Bring a model's weights into one folder, dequantised where they are GGUF."""

from pathlib import Path

from headrank.io.folders import MODEL, set_aside
from headrank.io.texts import local_path
from headrank.models.prepare import prepare_weights
from headrank.workflow.script import Folder, run_job


def main(source: dict, form: str, origins: list[str], target: Folder) -> None:
    """Write the model's folder; ``form`` as ``Experiment.format_of`` tells it."""
    weights, *dtype = form.split(":")
    set_aside(target, MODEL)
    # A local folder's files are inputs one by one; it is read as the folder that it is. Out of an
    # object store it comes as one, and lies elsewhere.
    if source["kind"] == "local" and weights == "safetensors" and not Path(origins[0]).is_dir():
        origins = [local_path(source["path"])]
    prepare_weights(source, weights, target, origins, *dtype)


if __name__ == "__main__":
    run_job(main, snakemake)
