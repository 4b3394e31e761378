"""What dbt sends, sent without dbt: a build takes half a second instead of four, and runs the same statements.

dbt parses, plans and logs for seconds before it sends what it has always sent. Here its own runs are listened to, and the builds in
between send what was heard. On fixed occasions dbt and Great Expectations run themselves again, and dbt must send what it sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from dbt.adapters.sql.connections import SQLConnectionManager

from lyceum.analytics import build as steps
from lyceum.analytics.models import Layer, ModelRun, ViewName, run_models
from lyceum.database import ConnectionTarget, connect
from lyceum.settings import Settings
from lyceum.views import auditing, refreshing

_OF_A_MODEL = '"node_id": "model.'
_INDEX_NAME = re.compile(r'index if not exists\s+"[0-9a-f]+"')
# The first run finds no candidates that it would replace.
_RUNS_UNTIL_STEADY = 2


class RecordedModels:
    """Runs models by dbt or, inside `spared`, by what dbt sent the last time. One warehouse has one recording."""

    def __init__(self) -> None:
        self._statements: dict[str, list[str]] = {}
        self._runs: dict[str, int] = {}
        self.comparisons = 0

    def is_ready_for(self, *layers: Layer | ViewName) -> bool:
        """Whether dbt has run each of these as often as it takes to send the same."""
        return all(self._runs.get(layer, 0) >= _RUNS_UNTIL_STEADY for layer in layers)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Let dbt run, and listen to what it sends."""
        with (
            patch.object(steps, "run_models", self._by_dbt),
            patch.object(refreshing, "run_models", self._by_dbt),
        ):
            yield

    @contextmanager
    def spared(self) -> Iterator[None]:
        """Send what dbt sent, and spare the judgement of Great Expectations; reconciliation stays."""
        with ExitStack() as patches:
            for module in (steps, refreshing):
                patches.enter_context(patch.object(module, "run_models", self._from_memory))
            patches.enter_context(patch.object(steps, "validate_suite", lambda *_: None))
            patches.enter_context(patch.object(auditing, "judge", lambda *_: ()))
            yield

    def _by_dbt(self, target: ConnectionTarget, settings: Settings, layer: Layer | ViewName) -> ModelRun:
        sent: list[str] = []
        add_query = SQLConnectionManager.add_query

        def listened(manager: Any, sql: str, *arguments: Any, **options: Any) -> Any:
            if _OF_A_MODEL in sql:
                assert not any(arguments[1:]), "a statement with values could not be sent again"
                sent.append(sql)
            return add_query(manager, sql, *arguments, **options)

        with patch.object(SQLConnectionManager, "add_query", listened):
            run = run_models(target, settings, layer)
        if self.is_ready_for(layer):
            assert _comparable(sent) == _comparable(self._statements[layer]), f"dbt sends other statements for {layer}"
            self.comparisons += 1
        self._statements[layer] = sent
        self._runs[layer] = self._runs.get(layer, 0) + 1
        return run

    def _from_memory(self, target: ConnectionTarget, settings: Settings, layer: Layer | ViewName) -> ModelRun:
        with connect(target) as connection:
            connection.execute(";\n".join(_without_end(one) for one in self._statements[layer]).encode())
            connection.commit()
        return ModelRun(())


def _comparable(statements: list[str]) -> list[str]:
    """dbt runs two models at a time, and names indexes by the clock."""
    return sorted(_INDEX_NAME.sub("index", statement) for statement in statements)


def _without_end(statement: str) -> str:
    return statement.strip().rstrip(";").rstrip()
