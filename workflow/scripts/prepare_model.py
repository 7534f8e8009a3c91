"""Bring a model's weights into one folder, dequantised where they are GGUF."""

from pathlib import Path

from headrank.joblog import job_log
from headrank.weights import prepare_weights


def main(source: dict, weights: str, origin: list[str], target: Path) -> None:
    """Write the model's folder."""
    prepare_weights(source, weights, target, origin[0] if origin else None)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.params.source,
            snakemake.params.format,
            list(snakemake.input),
            Path(snakemake.output[0]).parent,
        )
