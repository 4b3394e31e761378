"""Query parameters that go to the server as one block of bytes instead of element by element."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from lyceum.collect import binary_copy
from lyceum.database import Connection

_UUID_ARRAY_OID = 2951


@dataclass(frozen=True, slots=True)
class UuidArray:
    """A `uuid[]` parameter. `register` the connection first."""

    values: NDArray[np.void]

    @classmethod
    def of(cls, ids: Iterable[bytes]) -> UuidArray:
        """Take ids of 16 bytes each."""
        return cls(np.frombuffer(b"".join(ids), dtype="V16"))


class _UuidArrayDumper(Dumper):
    format = Format.BINARY
    oid = _UUID_ARRAY_OID

    def dump(self, obj: UuidArray) -> Buffer | None:
        return binary_copy.uuid_array(obj.values)


def register(connection: Connection) -> None:
    """Let this connection send `UuidArray`."""
    connection.adapters.register_dumper(UuidArray, _UuidArrayDumper)
