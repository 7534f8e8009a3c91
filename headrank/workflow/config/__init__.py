"""The workflow's config: checked, completed, expanded into jobs."""
