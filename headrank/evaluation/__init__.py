"""Measures, significance and studies over rankings."""
