"""Benchmarks of the code itself; `snakemake benchmarks` runs them into a table and a figure."""
