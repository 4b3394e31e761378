"""Many identifiers in little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left


class IdSet:
    """Identifiers as sorted 64-bit hashes: eight bytes each, where a set of strings takes more than a hundred."""

    def __init__(self, hashes: array[int]) -> None:
        self._hashes = array("q", sorted(hashes))

    def __contains__(self, text: str) -> bool:
        wanted = hash(text)
        position = bisect_left(self._hashes, wanted)
        return position < len(self._hashes) and self._hashes[position] == wanted

    def repeated(self) -> set[int]:
        """Return the hashes that were added more than once."""
        hashes = self._hashes
        return {hashes[i] for i in range(1, len(hashes)) if hashes[i] == hashes[i - 1]}
