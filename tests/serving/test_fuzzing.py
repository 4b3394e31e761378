"""The API as a process: whatever its own description allows, and whatever it does not, is answered as described; it ends in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api_callers import api_settings, now
from api_process import is_ready, serving
from lyceum.reporting.people.sealed import FORMATS
from lyceum.security.tokens.development import development_issuer
from lyceum.settings import Settings
from three_organizations import ADA, UNA, World
from warehouse import SharedServer

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def address(shared_server: SharedServer, world: World) -> Iterator[str]:
    with serving(api_settings(shared_server, world.warehouse, requests_per_minute=10_000_000)) as (made, _):
        yield made


def tokens(settings: Settings) -> dict[str, str]:
    issuer = development_issuer(settings)
    return {
        "/v1/me": issuer.mint("learner", "school-2", now(), user_id=ADA),
        "/v1/teaching": issuer.mint("trainer", "school-2", now(), user_id=UNA),
        "/v1/organization": issuer.mint("org_admin", "school-2", now()),
        "/v1/reports": issuer.mint("org_admin", "school-2", now()),
        "/health": issuer.mint("org_admin", "school-2", now()),
    }


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_asked_is_answered_as_the_description_says(
    address: str, world: World, mode: GenerationMode
) -> None:
    by_path = tokens(world.warehouse.settings)
    schema = schemathesis.openapi.from_url(f"{address}/v1/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 17
    answered: dict[int, int] = {}
    for operation in operations:
        token = next(token for path, token in by_path.items() if operation.path.startswith(path))

        asked = _asking(operation, mode, token, answered)
        with suppress(Unsatisfiable):
            # There is no wrong way to ask where nothing can be sent.
            asked()
    if mode is GenerationMode.POSITIVE:
        assert answered.get(200, 0) > 30
    else:
        assert answered.get(422, 0) > 30


def test_a_report_is_handed_out_as_the_description_says(address: str, world: World, written: dict[str, int]) -> None:
    schema = schemathesis.openapi.from_url(f"{address}/v1/openapi.json")
    operation = schema["/v1/reports/{report_id}"]["GET"]
    token = tokens(world.warehouse.settings)["/v1/reports"]
    for wanted in FORMATS:
        case = operation.Case(path_parameters={"report_id": written["organization"]}, query={"format": wanted})
        response = case.call(headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 200, response.text
        case.validate_response(response, checks=CHECKS)


def _asking(operation: Any, mode: GenerationMode, token: str, answered: dict[int, int]) -> Callable[[], None]:
    @settings(max_examples=8, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: Any) -> None:
        response = case.call(headers={"Authorization": f"Bearer {token}"})
        answered[response.status_code] = answered.get(response.status_code, 0) + 1
        assert response.status_code < 500, response.text
        case.validate_response(response, checks=CHECKS)

    return asked


def test_it_ends_once_it_has_answered(shared_server: SharedServer, world: World) -> None:
    token = tokens(world.warehouse.settings)["/v1/organization"]
    replies: list[int] = []
    with (
        serving(api_settings(shared_server, world.warehouse)) as (address, process),
        world.warehouse.connect() as blocking,
    ):
        blocking.execute("lock table only stage_three.aggregated_analytics in access exclusive mode")

        def ask() -> None:
            reply = httpx.get(
                f"{address}/v1/organization/trends",
                headers={"Authorization": f"Bearer {token}"},
                timeout=30,
                trust_env=False,
            )
            replies.append(reply.status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        deadline = time.monotonic() + 30
        while (
            world.connection.execute(
                "select from pg_locks where relation = 'stage_three.aggregated_analytics'::regclass and not granted"
            ).fetchone()
            is None
        ):
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        blocking.rollback()
        asking.join()
        assert process.wait(30) == 0
        assert process.stdout is not None
        said = process.stdout.read()
    assert replies == [200]
    assert b"Traceback" not in said


def test_several_processes_serve_together_and_end_together(shared_server: SharedServer, world: World) -> None:
    token = tokens(world.warehouse.settings)["/v1/me"]
    with serving(api_settings(shared_server, world.warehouse), "--workers", "2") as (address, process):
        replies = {
            httpx.get(f"{address}/v1/me", headers={"Authorization": f"Bearer {token}"}, trust_env=False).status_code
            for _ in range(20)
        }
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not is_ready(address)
    assert replies == {200}


def test_it_says_at_once_what_is_wrong_with_its_settings(world: World) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LYCEUM_")}
    done = subprocess.run(
        [sys.executable, "-c", "from lyceum.cli import main; main()", "serve"],
        env={**environment, **world.warehouse.settings.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "LYCEUM_API_DATABASE_URL" in done.stderr
