"""Named arrays and their description in one ``.npz`` that notices damage when it is read."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from headrank.errors import HeadRankError, with_article
from headrank.io.files import atomic

_META = "meta"


def save_arrays(
    path: str | os.PathLike, meta: Mapping[str, object], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write the arrays and ``meta`` (JSON), whole or not at all."""
    text = json.dumps({**meta, "arrays": sorted(arrays)}, sort_keys=True)
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{_META: np.array(text)}, **arrays)


class ArrayFile:
    """The arrays of one file, each read when it is asked for.

    ``numpy.load`` stops where an array ends by its own header, and then no checksum is
    compared: a damaged header gives a wrong array without an error. Here each member is
    read to its end, so every flipped bit is noticed.

    Attributes:
        meta: what was saved with the arrays.
        names: of the arrays that were saved, even if the archive lost one.
    """

    def __init__(self, path: str | os.PathLike, kind: str, remedy: str) -> None:
        """Open the file.

        Args:
            kind: what it holds, for errors (``reading``).
            remedy: how to make it anew (``read again``).

        Raises:
            HeadRankError: missing or damaged.
        """
        self.path, self._kind, self._remedy = Path(path), kind, remedy
        try:
            self._archive = zipfile.ZipFile(self.path)
        except FileNotFoundError:
            raise HeadRankError(f"{path}: no such {kind}") from None
        except IsADirectoryError:
            raise HeadRankError(
                f"{path}: is a folder, not the file of {with_article(kind)}"
            ) from None
        except Exception as error:  # zipfile, struct and the system each raise their own
            raise self._damaged(error) from None
        try:
            self.meta: dict = json.loads(str(self._read(_META)))
            self.names = frozenset(self.meta["arrays"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(error) from None

    def __getitem__(self, name: str) -> np.ndarray:
        """Return one array.

        Raises:
            HeadRankError: it is lost, or its bytes are damaged.
        """
        return self._read(name)

    def _read(self, name: str) -> np.ndarray:
        try:
            data = self._archive.read(f"{name}.npy")
            return np.load(io.BytesIO(data), allow_pickle=False)
        except Exception as error:  # as above, and zlib's and numpy's
            raise self._damaged(error) from None

    def _damaged(self, reason: object) -> HeadRankError:
        return HeadRankError(
            f"{self.path}: the {self._kind} is damaged ({reason}); delete it and {self._remedy}"
        )
