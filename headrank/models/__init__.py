"""Decoders: where their weights come from, how they load, their attention."""
