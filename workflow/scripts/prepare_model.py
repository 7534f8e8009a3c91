"""Bring a model's weights into one folder, dequantised where they are GGUF."""

from pathlib import Path

from headrank.io.folders import MODEL, set_aside
from headrank.models.prepare import prepare_weights
from headrank.workflow.job import job_log
from headrank.workflow.provenance.originals import place


def main(source: dict, form: str, origin: list[str], target: Path) -> None:
    """Write the model's folder; ``form`` as ``Experiment.format_of`` tells it."""
    weights, *dtype = form.split(":")
    set_aside(target, MODEL)
    # A local folder's files are inputs one by one; it is read as the folder that it is. Out of an
    # object store it comes as one, and lies elsewhere.
    if source["kind"] == "local" and weights == "safetensors" and not Path(origin[0]).is_dir():
        origin = [place(source["path"])]
    prepare_weights(source, weights, target, origin, *dtype)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.params.source,
            snakemake.params.format,
            list(snakemake.input),
            Path(snakemake.output.get("folder") or Path(snakemake.output[0]).parent),
        )
