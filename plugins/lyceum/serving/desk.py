"""Where requests are answered: who asks, may they, is the answer known already, where is it read, and is the access recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Final, Literal

import psycopg
from psycopg.rows import TupleRow

from lyceum.audit import Access
from lyceum.security.tokens.claims import ROLES, Role, TenantClaims
from lyceum.security.tokens.errors import (
    IssuerUnavailableError,
    Refusal,
    TenancyError,
    TokenError,
    TokenKeyError,
)
from lyceum.security.tokens.internal import Clock, InternalTokens
from lyceum.security.tokens.issuer_keys import IssuerKeys
from lyceum.security.tokens.verification import AccessClaims, verify
from lyceum.serving.caching import Caches
from lyceum.serving.databases import Database
from lyceum.serving.limits import Rates, Turns
from lyceum.serving.problems import Problem, unavailable
from lyceum.serving.questions import Answer, Question, Reading, Versions, key_of, versions_of, versions_statement
from lyceum.serving.recollection import Recollection
from lyceum.serving.trail import Trail
from lyceum.serving.transactions import (
    AsyncConnection,
    Statement,
    ask_together,
    becoming,
    find_tenant,
    reading,
    require_tenant,
    tenant_of,
)
from lyceum.token_settings import IssuerSettings, is_address

_LOG = logging.getLogger(__name__)

READ, REFUSED = "api_read", "api_refused"
_ATTEMPTS = 3
_SECONDS = 25.0
"""A request takes no longer: well within the minute for which the database accepts its token."""
_REPLICA_PAUSE_SECONDS = 5.0
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="lyceum"'}
_BAD_TOKEN: Final = {"WWW-Authenticate": 'Bearer realm="lyceum", error="invalid_token"'}

Origin = Literal["cache", "primary", "replica"]


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody whose token was verified. `resource` is what they ask for, as the audit trail names it."""

    access: AccessClaims
    request_id: str
    resource: str

    @property
    def caller(self) -> str:
        """Whom a rate is counted for."""
        access = self.access
        return f"{access.slug or access.organization_id} {access.role} {access.subject}"


@dataclass(frozen=True, slots=True)
class Told:
    """An answer as it is told: `answer` is None where the asking one has it already."""

    etag: str
    answer: Answer | None
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the primary said of a question: by whom, of which versions, and the answer where it was known or read there."""

    claims: TenantClaims
    versions: Versions
    key: str
    told: Told | None


@dataclass(slots=True)
class _Replica:
    database: Database
    left_alone_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Verification:
    """How tokens of callers are verified. That a token was good a moment ago is not remembered."""

    issuer: IssuerSettings
    keys: IssuerKeys
    clock: Clock

    async def of(self, token: str) -> AccessClaims:
        """Return what a token says. Raises as `lyceum.security.tokens.verification.verify` does."""
        if is_address(self.issuer.jwks):
            # The issuer's keys may have to be fetched first.
            return await asyncio.to_thread(verify, token, self.issuer, self.keys, self.clock)
        return verify(token, self.issuer, self.keys, self.clock)


class Desk:
    """Answers the requests of one process."""

    def __init__(
        self,
        *,
        verification: Verification,
        tokens: InternalTokens,
        primary: Database,
        replicas: Sequence[Database],
        trail: Trail,
        caches: Caches,
        rates: Rates,
        strangers: Rates,
        turns: Turns,
        statement_seconds: int,
        form: str,
    ) -> None:
        """Take all that it works with. `strangers` are those without a good token; `form` names how answers look."""
        self._verification = verification
        self._tokens = tokens
        self._clock = verification.clock
        self.primary = primary
        self._replicas = [_Replica(replica) for replica in replicas]
        self._round = count()
        self._trail = trail
        self._caches = caches
        self._rates = rates
        self._strangers = strangers
        self._turns = turns
        self._statement_seconds = statement_seconds
        self._form = form
        self._ids: Recollection[object, TupleRow] = Recollection()
        self._keys: Recollection[object, str] = Recollection()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Keep everything open that answers need while the block runs. What is being answered when it ends is answered before."""
        databases = [self.primary, *(replica.database for replica in self._replicas)]
        for database in databases:
            await database.open()
        self._trail.begin()
        try:
            yield
        finally:
            await self._trail.end()
            await self._caches.close()
            for database in databases:
                await database.close()

    async def admit(self, token: str | None, roles: Sequence[Role], host: str, request_id: str, resource: str) -> Asker:
        """Return who asks.

        Raises `Problem`: 401 without a good token, 403 for another role than these, 429 for too many requests, 503 where nothing
        can be said. Refusals are in the audit trail before they are told.
        """
        try:
            if token is None:
                raise TokenError(Refusal.MALFORMED, "There is no token.")
            asker = Asker(await self._verification.of(token), request_id, resource)
        except TokenError as error:
            self._strangers.take(host)
            await self._refuse(Access(REFUSED, resource, request_id=request_id, detail={"reason": error.reason.value}))
            if token is None:
                detail = "The request has no token. Send one as `Authorization: Bearer …`."
                raise Problem(401, detail, _CHALLENGE) from None
            raise Problem(401, str(error), _BAD_TOKEN) from None
        except (IssuerUnavailableError, TokenKeyError):
            raise unavailable(
                "The keys of the tokens' issuer cannot be had, so no token can be verified.", 10
            ) from None
        self._rates.take(asker.caller)
        if asker.access.role not in roles:
            await self._refuse_role(asker, "role")
            told = " or ".join(role for role in ROLES if role in roles)
            raise Problem(403, f"Your token is of the role {asker.access.role}. This is for the role {told}.")
        return asker

    async def require_scope(self, asker: Asker, scope: str) -> None:
        """Raise `Problem` (403) when a service's token does not have a scope."""
        if asker.access.role == "service" and scope not in asker.access.scopes:
            await self._refuse_role(asker, "scope")
            raise Problem(403, f"Your token does not have the scope {scope}. Ask its issuer for one that has.")

    async def answer(self, asker: Asker, question: Question, known: Sequence[str]) -> Told:
        """Answer a question; `known` are the ETags of the answers that the asking one has.

        The access is in the audit trail before the answer is returned. Raises `Problem`.
        """
        claims: list[TenantClaims] = []
        try:
            async with self._turns.one(), asyncio.timeout(_SECONDS):
                told = await self._told(asker, question, known, claims)
                if told.answer is not None:
                    told = replace(told, answer=await told.answer.whole())
                await self._trail.record(
                    self._access(question.action or READ, asker, claims, question, told),
                    row_count=told.answer.row_count if told.answer is not None else None,
                )
                return told
        except Problem as problem:
            if problem.status < 500:
                action = question.action or REFUSED
                await self._refuse(self._access(action, asker, claims, question, None, status=problem.status))
            raise
        except TokenError as error:
            if error.reason is not Refusal.ORGANIZATION:
                _LOG.error("The database does not accept our tokens: look at `lyceum token keys status`.")
                raise unavailable("The database does not accept the API's tokens.", 30) from None
            await self._refuse(self._access(REFUSED, asker, claims, question, None, status=401))
            raise Problem(401, str(error), _BAD_TOKEN) from None
        except TimeoutError:
            raise unavailable("The answer took too long. Ask for less at a time, or try again.") from None

    async def is_ready(self) -> bool:
        """Say whether the primary answers."""
        try:
            async with asyncio.timeout(3), self.primary.connection() as connection:
                await connection.execute("select 1")
        except (Problem, psycopg.Error, TimeoutError):
            await self.primary.drop_broken()
            return False
        return True

    async def _told(self, asker: Asker, question: Question, known: Sequence[str], claims: list[TenantClaims]) -> Told:
        for attempt in range(_ATTEMPTS):
            try:
                looked = await self._look(asker, question, known, claims, is_read_here=not self._replicas)
                if looked.told is not None:
                    return looked.told
                answer = await self._of_replica(question, looked)
                if answer is not None:
                    await self._caches.keep(looked.key, answer)
                    return Told(_etag(looked.key), answer, "replica")
                looked = await self._look(asker, question, known, claims, is_read_here=True)
                assert looked.told is not None
                return looked.told
            except psycopg.errors.QueryCanceled:
                raise unavailable("The answer took too long. Ask for less at a time, or try again.") from None
            except (psycopg.OperationalError, TenancyError) as error:
                # It has only read, so it may read again.
                _LOG.info("A connection was lost (%s).", type(error).__name__)
                if attempt + 1 < _ATTEMPTS:
                    await self.primary.drop_broken()
        raise unavailable("The database does not answer. Try again in a moment.", 2)

    async def _look(
        self, asker: Asker, question: Question, known: Sequence[str], whom: list[TenantClaims], *, is_read_here: bool
    ) -> _Looked:
        """Ask the primary for the versions, in one snapshot with the answer where that is read there; say in `whom` who asks.

        Somebody who was here before is taken for the same ids, and asks in the round trip that finds out whether they still are.
        """
        access = asker.access
        find = find_tenant(access)
        whose = (access.slug, access.organization_id, access.user_id)
        remembered = self._ids.get(whose)
        if remembered is not None:
            claims = tenant_of(access, remembered, asker.request_id)
            asked = (whose, access.role, access.subject, question.name, *sorted(question.parameters.items()))
            last = self._keys.get(asked)
            is_kept = last is not None and (_etag(last) in known or self._caches.has_near(last))
            for is_all in (True, False) if is_kept else (False,):
                async with self._reading([find, *self._becoming(claims, question)], is_all=is_all) as (
                    connection,
                    rows,
                ):
                    found, became, told = rows
                    if found != remembered:
                        break
                    whom[:] = [claims]
                    versions = versions_of(await require_tenant(connection, became, told))
                    looked = await self._looked(
                        connection, asker, question, known, claims, versions, is_read_here=is_read_here and not is_all
                    )
                    if looked.told is not None or not is_all:
                        self._keys.put(asked, looked.key)
                        return looked
        async with self._reading([find]) as (connection, (found,)):
            claims = tenant_of(access, found, asker.request_id)
            whom[:] = [claims]
            self._ids.put(whose, (claims.organization_id, claims.user_id))
            became, told = await ask_together(connection, self._becoming(claims, question))
            versions = versions_of(await require_tenant(connection, became, told))
            return await self._looked(connection, asker, question, known, claims, versions, is_read_here=is_read_here)

    async def _looked(
        self,
        connection: AsyncConnection,
        asker: Asker,
        question: Question,
        known: Sequence[str],
        claims: TenantClaims,
        versions: Versions,
        *,
        is_read_here: bool,
    ) -> _Looked:
        key = key_of(question, claims, asker.access.subject, versions, self._form)
        if _etag(key) in known:
            return _Looked(claims, versions, key, Told(_etag(key), None, None))
        answer = await self._caches.find(key)
        if answer is not None:
            return _Looked(claims, versions, key, Told(_etag(key), answer, "cache"))
        if not is_read_here:
            return _Looked(claims, versions, key, None)
        answer = await question.answer(Reading(connection, claims, versions))
        await self._caches.keep(key, answer)
        return _Looked(claims, versions, key, Told(_etag(key), answer, "primary"))

    @asynccontextmanager
    async def _reading(
        self, first: Sequence[Statement], *, is_all: bool = False
    ) -> AsyncIterator[tuple[AsyncConnection, list[TupleRow | None]]]:
        async with (
            self.primary.connection() as connection,
            reading(connection, statement_seconds=self._statement_seconds, first=first, is_all=is_all) as rows,
        ):
            yield connection, rows

    def _becoming(self, claims: TenantClaims, question: Question) -> tuple[Statement, Statement]:
        return becoming(claims, self._tokens, self._clock, versions_statement(question, claims))

    async def _of_replica(self, question: Question, looked: _Looked) -> Answer | None:
        """Return the answer of the first replica that shows exactly the versions of the primary; None when none does.

        A replica that lags behind, or recovers, or is away, is one that shows others: it costs time and nothing else.
        """
        now = asyncio.get_running_loop().time()
        first = next(self._round)
        for number in range(len(self._replicas)):
            replica = self._replicas[(first + number) % len(self._replicas)]
            if now < replica.left_alone_until:
                continue
            try:
                async with (
                    replica.database.connection() as connection,
                    reading(
                        connection,
                        statement_seconds=self._statement_seconds,
                        first=self._becoming(looked.claims, question),
                    ) as (became, told),
                ):
                    found = versions_of(await require_tenant(connection, became, told))
                    if found == looked.versions:
                        return await question.answer(Reading(connection, looked.claims, found))
            except Problem as problem:
                if problem.status < 500:
                    raise
                replica.left_alone_until = now + _REPLICA_PAUSE_SECONDS
            except (psycopg.Error, TokenError, TenancyError) as error:
                _LOG.warning("%s was left out: %s.", replica.database.name, type(error).__name__)
                replica.left_alone_until = now + _REPLICA_PAUSE_SECONDS
                await replica.database.drop_broken()
        return None

    async def _refuse_role(self, asker: Asker, reason: str) -> None:
        claims: list[TenantClaims] = []
        # Where it cannot be said whom it was about, it can still be said that it was refused.
        with suppress(TokenError, psycopg.Error):
            async with self._reading([find_tenant(asker.access)]) as (_, (found,)):
                claims = [tenant_of(asker.access, found, asker.request_id)]
        access = self._access(REFUSED, asker, claims, None, None)
        await self._refuse(replace(access, detail={**access.detail, "reason": reason}))

    async def _refuse(self, access: Access) -> None:
        await self._trail.record(access, "denied")

    def _access(
        self,
        action: str,
        asker: Asker,
        claims: Sequence[TenantClaims],
        question: Question | None,
        told: Told | None,
        *,
        status: int | None = None,
    ) -> Access:
        detail: dict[str, object] = {"token_id": asker.access.token_id}
        if question is not None:
            asked = {name: value for name, value in question.parameters.items() if value is not None}
            detail["asked"] = {
                name: value if isinstance(value, (bool, int)) else str(value) for name, value in asked.items()
            }
        if told is not None:
            detail["origin"] = told.origin or "known"
        if status is not None:
            detail["status"] = status
        return Access(
            action,
            asker.resource,
            organization_id=claims[0].organization_id if claims else None,
            user_id=claims[0].user_id if claims else None,
            role=asker.access.role,
            request_id=asker.request_id,
            detail=detail,
        )


def _etag(key: str) -> str:
    return f'"{key[:40]}"'
