"""The xAPI adapter: files of statements, xAPI 1.0.3 and 2.0, as inputs of the record contract.

A file is NDJSON, a JSON array, a StatementResult or a single statement, plain or gzip; its content tells which.
"""

from __future__ import annotations

from lyceum.adapters.xapi.inputs import event_from_payload, open_inputs
from lyceum.adapters.xapi.reader import StatementReader

__all__ = ["StatementReader", "event_from_payload", "open_inputs"]
