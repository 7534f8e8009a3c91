"""The workflow's side of the library: the one room that knows Snakemake, the config and results."""
