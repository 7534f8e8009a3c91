"""Stands for torch where it is not installed: a test that imports it is skipped, and says so."""

import pytest

raise pytest.skip.Exception("torch is not installed here", allow_module_level=True)
