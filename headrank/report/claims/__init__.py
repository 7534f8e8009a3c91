"""The ledger of claims: what the paper states in public, and what a run measured of it."""
