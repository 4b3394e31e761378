"""Callers of the API: they ask an application within their own process, as HTTP does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from psycopg import sql

from lyceum.database import Connection, ConnectionTarget, Login, login_target
from lyceum.security.tokens.claims import Role
from lyceum.security.tokens.development import development_issuer
from lyceum.serving.application import Application, make_application
from lyceum.serving_settings import ServingSettings
from lyceum.settings import Settings
from warehouse import SharedServer, Warehouse


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came."""

    token: str
    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def data(self) -> Any:
        return self.body["data"]


class Caller:
    """Asks an application in a loop of its own, which runs only while it is asked or told to do something."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.application: Application = make_application(settings, now)
        self._loop = asyncio.new_event_loop()
        self._alive = self.application.router.lifespan_context(self.application)
        self._loop.run_until_complete(self._alive.__aenter__())
        transport = httpx.ASGITransport(self.application)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://lyceum.test")

    def token(self, role: Role, organization: int = 2, user: int | None = None, *scopes: str) -> str:
        issuer = development_issuer(self.settings)
        return issuer.mint(role, f"school-{organization}", now(), user_id=user, scopes=scopes)

    def get(self, address: str, token: str | None = None, **headers: str) -> Reply:
        return self.request("GET", address, token, **headers)

    def request(
        self, method: str, address: str, token: str | None = None, *, content: bytes | None = None, **headers: str
    ) -> Reply:
        (reply,) = self.together([(method, address, token, headers, content)])
        return reply

    def together(self, requests: list[tuple[str, str, str | None, dict[str, str], bytes | None]]) -> list[Reply]:
        """Ask all at the same time."""

        async def every() -> list[Reply]:
            return list(
                await asyncio.gather(
                    *(
                        self.ask(address, token, method, headers, content)
                        for method, address, token, headers, content in requests
                    )
                )
            )

        return self._loop.run_until_complete(every())

    async def ask(
        self,
        address: str,
        token: str | None,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> Reply:
        """Ask, in the loop of the application."""
        sent = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        found = await self._client.request(method, address, headers=sent, content=content)
        return Reply(token or "", found.status_code, found.headers, found.content)

    def run(self, make: Callable[[], Any]) -> Any:
        """Run what a function returns in the loop of the application."""
        return self._loop.run_until_complete(make())

    def close(self) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.run_until_complete(self._alive.__aexit__(None, None, None))
        self._loop.close()


_LOGINS: dict[str, ConnectionTarget] = {}


@contextmanager
def api_login(server: SharedServer, warehouse: Warehouse) -> Iterator[None]:
    """Have a login for the API: its own, or on a server of one's own, whose passwords are not ours, one that may do the same."""
    if server.database_url is None:
        _LOGINS[warehouse.target.dbname] = login_target(warehouse.administrator, server.settings, Login.API)
        yield
        return
    name, password = f"api_{uuid4().hex[:12]}", uuid4().hex
    with warehouse.connect(autocommit=True) as connection:
        role = sql.Identifier(name)
        connection.execute(
            sql.SQL("create role {} login inherit in role lyceum_authenticator password {}").format(
                role, sql.Literal(password)
            )
        )
        _LOGINS[warehouse.target.dbname] = replace(warehouse.administrator, user=name, password=password)
        try:
            yield
        finally:
            connection.execute(sql.SQL("drop role {}").format(role))


def api_settings(server: SharedServer, warehouse: Warehouse, **serving: Any) -> Settings:
    """Return the settings of the API over a warehouse of the tests, within `api_login`."""
    target = _LOGINS[warehouse.target.dbname]
    return replace(warehouse.settings, serving=ServingSettings(database_url=target.url(), **serving))


def number_of(organization: int, subject: int, course: int | None = None) -> int:
    """Return the number that stands wherever something of this subject is counted: nobody else has it."""
    return organization * 1000 + subject * 100 + (course or 0) * 10


def give_everybody_other_numbers(connection: Connection) -> None:
    """Give each row a number that tells whose it is, and show the views anew."""
    number = "organization_id * 1000 + {} * 100 + {} * 10"
    of_rows = number.format("subject_id", "coalesce(course_id, 0)")
    connection.execute(
        f"""
        update stage_three.aggregated_analytics
        set event_count = {of_rows}, completions = {of_rows}, learners_active = {of_rows}, cohort_size = {of_rows}
        """.encode()
    )
    summary = number.format("learner_id", "course_id")
    connection.execute(f"update audited.learner_analytics_summary set weekly_event_count = {summary}".encode())
    connection.execute("update audited.organization_metrics set weekly_active_learners = organization_id * 1000")
    for view in ("mv_learner_analytics_summary", "mv_organization_metrics"):
        connection.execute(f"refresh materialized view stage_three.{view}".encode())


@contextmanager
def calling(settings: Settings) -> Iterator[Caller]:
    caller = Caller(settings)
    try:
        yield caller
    finally:
        caller.close()


def trail(connection: Connection, request_id: str) -> list[tuple[Any, ...]]:
    """Return what the audit trail says of a request."""
    return connection.execute(
        """
        select action, resource, decision, organization_id, actor_user_id, actor_role, row_count, detail
        from audit.audit_logs where request_id = %s
        """,
        [request_id],
    ).fetchall()
