"""Every policy, barrier view, leaf and definer function is broken in turn; each time what somebody sees must differ from the oracle.

The scenario has a row for every reason for which a row may be hidden. Whoever asks has a token of the role that they are, a
token of another role, or none that counts. A mutant that survives is either a gap of the scenario or described below as equal.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from lyceum.database import ConnectionTarget
from lyceum.security.generation import policy_name
from lyceum.security.rights import FUNCTIONS, RELATIONS, ROLE_PREFIX, TENANT_ROLES, TenantRole
from lyceum.security.tokens.internal import SigningKey
from oracle.visibility import Asking, Enrollment, Key, LearnerDay, Period, Scenario, visible
from property.visibility import FIRST_DAY, LAST_DAY, SHOWN, Theatre, in_json, make_theatre
from warehouse import SharedServer

pytestmark = pytest.mark.timeout(300)

HERE, ELSEWHERE = 2, 3
ADA, BEN, TOM, UNA = 1, 2, 3, 4
ALWAYS = ((date(2026, 1, 1), None),)
EVER = ((date(2020, 1, 1), None),)


def _november(first: int, last: int) -> tuple[tuple[date, date], ...]:
    return ((date(2026, 11, first), date(2026, 11, last)),)


def _scenario() -> Scenario:
    days = [FIRST_DAY + timedelta(days=number) for number in range((LAST_DAY - FIRST_DAY).days + 1)]
    enrollments, learner_days, periods = [], [], []
    for organization in (1, HERE, ELSEWHERE):
        # The same people teach other courses, or the same on other days, elsewhere; and have learnt where they do not teach.
        taught = {HERE: 1, 1: 1, ELSEWHERE: 3}[organization]
        span = _november(3, 15) if organization != 1 else _november(10, 20)
        enrollments += [
            Enrollment(organization, TOM, taught, "trainer", 1, 1, span, EVER),
            Enrollment(organization, TOM, 1, "learner", 1, 1, ALWAYS, EVER),
            Enrollment(organization, TOM, 2, "learner", 1, 1, ALWAYS, EVER),
            Enrollment(organization, TOM, 2, "trainer", 1, 1, ALWAYS, EVER),
            # A later version of another source takes the last days back.
            Enrollment(organization, TOM, 2, "trainer", 1, 2, (), _november(12, 30)),
            Enrollment(
                organization, UNA, 2, "trainer", 1, 1, ALWAYS if organization == HERE else _november(2, 3), EVER
            ),
            # Until the open day, and until the day before it.
            Enrollment(organization, BEN, 3, "trainer", 1, 1, _november(1, 15), EVER),
            Enrollment(organization, BEN, 4, "trainer", 1, 1, _november(1, 14), EVER),
            # Listed, and never there.
            Enrollment(organization, UNA, 3, "learner", 1, 1, (), EVER),
            Enrollment(organization, UNA, 4, "learner", 1, 1, ALWAYS, EVER),
            Enrollment(organization, ADA, 1, "learner", 1, 1, ALWAYS, EVER),
        ]
        if organization != HERE:
            enrollments.append(Enrollment(organization, ADA, 3, "learner", 1, 1, ALWAYS, EVER))
        for user in (ADA, BEN, TOM, UNA):
            for course in (None, 1, 2, 3, 4):
                for number, day in enumerate(days):
                    is_enrolled = (True, True, True, False, None)[(number + user) % 5]
                    learner_days.append(LearnerDay(organization, user, course, day, is_enrolled))
                    periods.append(Period(organization, "learner", user, course, "day", day, is_enrolled))
                longer = (
                    *(("week", week) for week in days[::7]),
                    *(("month", date(2026, month, 1)) for month in (1, 10, 11)),
                    ("year", date(2026, 1, 1)),
                )
                periods += [Period(organization, "learner", user, course, *period, True) for period in longer]
                if course:
                    periods.append(Period(organization, "trainer", user, course, "day", days[3], None))
        periods += [
            # Its number is that of a person. And a trainer's row that is enrolled, as none ever is.
            Period(organization, "organization", organization, None, "day", days[3], None),
            Period(organization, "organization", TOM, None, "day", days[4], None),
            Period(organization, "trainer", BEN, 1, "day", days[8], True),
        ]
    return Scenario(
        closed_through={1: date(2026, 11, 4), HERE: date(2026, 11, 14), ELSEWHERE: None},
        users=(ADA, BEN, TOM, UNA),
        courses=(1, 2, 3, 4),
        enrollments=tuple(enrollments),
        learner_days=tuple(learner_days),
        trainer_days=tuple((number, user, 1, days[3]) for number in (1, 2, 3) for user in (ADA, TOM, UNA)),
        organization_days=tuple((number, day) for number in (1, 2, 3) for day in days[:3]),
        periods=tuple(periods),
        learner_courses=(
            *((number, user, 2) for number in (1, 2, 3) for user in (ADA, BEN, TOM)),
            (1, BEN, 1),
            (HERE, UNA, 1),
            (HERE, UNA, 4),
            # Ben teaches both on the last closed day; the second he has left as a learner.
            *((number, BEN, course) for number in (1, 2, 3) for course in (3, 4)),
        ),
        reports=tuple(
            (number, kind, owner)  # type: ignore[misc]
            for number in (1, 2, 3)
            for kind, owner in (
                *(("learner", user) for user in (ADA, BEN, TOM)),
                *(("trainer", user) for user in (TOM, UNA, ADA)),
                ("organization", None),
            )
        ),
        enrolled={
            # Of those whom a trainer of the course sees; of one whose course they no longer teach; and of one who has left.
            **{(number, ADA, 2): ALWAYS for number in (1, 2, 3)},
            **{(number, BEN, 2): _november(14, 14) for number in (1, 2, 3)},
            **{(number, TOM, 2): _november(1, 13) for number in (1, 2, 3)},
            (1, BEN, 1): ALWAYS,
            **{(number, BEN, 3): ALWAYS for number in (1, 2, 3)},
            (HERE, UNA, 1): _november(15, 20),
            (HERE, UNA, 4): _november(1, 14),
        },
        audited=((1, "one"), (2, "two"), (3, "three"), (None, "the server")),
    )


SCENARIO = _scenario()
FAILED = "could not be asked:"
BOTH_SCOPES = ("analytics.read", "organization.read")
GENUINE = (
    *(Asking("learner", HERE, user) for user in (ADA, BEN, UNA)),
    *(Asking("trainer", HERE, user) for user in (TOM, UNA, BEN)),
    *(Asking("trainer", 1, user) for user in (TOM,)),
    Asking("org_admin", HERE),
    *(Asking("service", HERE, None, scopes) for scopes in (BOTH_SCOPES, BOTH_SCOPES[:1], BOTH_SCOPES[1:], ())),
    Asking("analyst", HERE),
    Asking("auditor", HERE),
    Asking("auditor", None),
)


@dataclass(frozen=True, slots=True)
class Probe:
    """Somebody who asks as `role` with a token; `told` is what counts of it, None for a token that does not."""

    name: str
    role: TenantRole
    token: Callable[[], str]
    told: Asking | None

    def expected(self) -> dict[str, set[Key]]:
        """Return what they may see."""
        if self.told is not None and self.told.role == self.role:
            return _SEEN[self.told]
        return {view: set() for view in _SEEN[next(asking for asking in GENUINE if asking.role == self.role)]}


_SEEN = {asking: in_json(visible(asking, SCENARIO)) for asking in GENUINE}


@dataclass(frozen=True, slots=True)
class Stage:
    """The scenario as it is being played, and everybody who asks."""

    theatre: Theatre
    probes: tuple[Probe, ...]

    def difference(self, views: Sequence[str], role: str | None = None) -> str | None:
        """Return who first sees something else than they may in these views, or None."""
        for probe in self.probes:
            if role is not None and ROLE_PREFIX + probe.role != role:
                continue
            wanted = {view: keys for view, keys in probe.expected().items() if view in views}
            try:
                for by_table in (False, True):
                    compared = [view for view in wanted if not by_table or SHOWN[view].table]
                    if compared:
                        shown = self.theatre.seen(probe.role, probe.token(), compared, by_table=by_table)
                        for view in compared:
                            if shown[view] != wanted[view]:
                                return f"{probe.name} sees {len(shown[view])} rows of {view}, not {len(wanted[view])}"
            except psycopg.Error as error:
                return f"{FAILED} {probe.name}: {error}"
        return None

    def answers_differ(self) -> str | None:
        """Return whom the functions about the reader first tell something else than their token says, or None."""
        for probe in self.probes:
            for role in TENANT_ROLES:
                told = probe.told if probe.told is not None and probe.told.role == role else None
                wanted = (
                    told.organization if told else None,
                    told.user if told else None,
                    told.organization if told and "analytics.read" in told.scopes else None,
                    told is not None and told.role == "auditor" and told.organization is None,
                )
                if (answer := self._answer(probe, role)) != wanted:
                    return f"{probe.name} is answered {answer} about {role}, not {wanted}"
        return None

    def _answer(self, probe: Probe, role: str) -> object:
        try:
            with self.theatre.connection.transaction(force_rollback=True):
                self.theatre.connection.execute(
                    "select set_config('lyceum.token', %s, true), set_config('role', %s, true)",
                    [probe.token(), ROLE_PREFIX + probe.role],
                )
                return self.theatre.connection.execute(
                    """
                    select
                        auth.organization_id(%(role)s), auth.user_id(%(role)s),
                        auth.organization_id(%(role)s, 'analytics.read'), auth.reads_every_organization(%(role)s)
                    """,
                    {"role": role},
                ).fetchone()
        except psycopg.Error as error:
            return str(error)


def _signed(
    key: SigningKey, asking: Asking, lifetime: timedelta = timedelta(seconds=50), version: str = "v1", **more: Any
) -> str:
    """Return a token made by hand, so that it can be what the minter never mints."""
    content = {
        "role": asking.role,
        "organization_id": asking.organization,
        "user_id": asking.user,
        "scopes": list(asking.scopes),
        "expires_at": int((datetime.now(UTC) + lifetime).timestamp() * 1000),
        **more,
    }
    signed = f"{version}.{key.key_id}.{base64.b64encode(json.dumps(content).encode()).decode()}"
    return f"{signed}.{hmac.digest(key.secret, signed.encode(), 'sha256').hex()}"


def _probes(theatre: Theatre) -> Iterator[Probe]:
    for asking in GENUINE:
        yield Probe(str(asking), asking.role, lambda asking=asking: theatre.token(asking), asking)
    for asking in (next(each for each in GENUINE if each.role == role) for role in TENANT_ROLES):
        for role in TENANT_ROLES:
            if role != asking.role:
                token = lambda asking=asking: theatre.token(asking)  # noqa: E731
                yield Probe(f"{role} with a token of {asking.role}", role, token, asking)
    admin, ours = Asking("org_admin", HERE), theatre.tokens.key
    foreign, retired = SigningKey(os.urandom(32)), SigningKey(os.urandom(32))
    theatre.connection.execute(
        """
        insert into auth.signing_keys (key_id, inner_pad, outer_pad, created_at, retired_at)
        values (%s, %s, %s, now() - interval '1 day', now() - interval '1 hour')
        """,
        [retired.key_id, *retired.pads],
    )
    long = timedelta(hours=1)
    for name, make in {
        "a forged token": lambda: _signed(foreign, admin).replace(foreign.key_id, ours.key_id),
        "a token of a key that nobody knows": lambda: _signed(foreign, admin),
        "a token of a retired key": lambda: _signed(retired, admin),
        "an expired token": lambda: _signed(ours, admin, timedelta(seconds=-30)),
        "a token that expired long ago": lambda: _signed(ours, admin, -long),
        "a token for an hour": lambda: _signed(ours, admin, long),
        "a token of another version": lambda: _signed(ours, admin, version="v2"),
        "a token as long as a book": lambda: _signed(ours, admin, note="x" * 5000),
        "no token": str,
    }.items():
        yield Probe(name, "org_admin", make, None)
    nowhere = Asking("org_admin", None)
    yield Probe(
        "an auditor with a token of another role and no organization", "auditor", lambda: _signed(ours, nowhere), None
    )
    yield Probe("a token of no role of ours", "org_admin", lambda: _signed(ours, admin, role="postgres"), None)


@pytest.fixture(scope="module")
def stage(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("mutations") / "home"
    with shared_server.database(home, template) as warehouse, warehouse.connect(autocommit=True) as connection:
        theatre = make_theatre(warehouse, connection)
        with theatre.playing(SCENARIO):
            # Somebody who connects directly, so that a mutant may take others for them.
            connection.execute(
                "insert into auth.logins (login_name, role, organization_id) values ('somebody', 'analyst', %s)",
                [ELSEWHERE],
            )
            yield Stage(theatre, tuple(_probes(theatre)))


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of the database, the views that it concerns, and the one role whose rows it can touch."""

    name: str
    statements: tuple[str, ...]
    views: tuple[str, ...] = tuple(SHOWN)
    role: str | None = None


def _survivors(stage: Stage, mutants: Sequence[Mutant], *, has_answers: bool = False) -> list[str]:
    """Return the mutants that nobody noticed. One that only fails to run has not shown anything, unless it is a function."""
    survived = []
    for mutant in mutants:
        with stage.theatre.connection.transaction(force_rollback=True):
            for statement in mutant.statements:
                stage.theatre.connection.execute(statement.encode())
            difference = stage.difference(mutant.views, mutant.role)
            if difference is None and has_answers:
                difference = stage.answers_differ()
        if difference is None or (difference.startswith(FAILED) and not has_answers):
            survived.append(f"{mutant.name}{difference or ''}")
    return survived


def _views_of(table: str) -> tuple[str, ...]:
    return tuple(
        name
        for name, shown in SHOWN.items()
        if shown.table == table or (table == "core.enrollments" and name == "enrollments")
    )


def _policies(stage: Stage) -> list[tuple[str, str, str, str]]:
    """Return table, name, role and condition of every policy."""
    return stage.theatre.connection.execute(
        """
        select format('%I.%I', schemaname, tablename), policyname, roles[1]::text, qual
        from pg_policies order by 1, 2
        """
    ).fetchall()  # type: ignore[return-value]


def _without_one_conjunct(condition: str) -> Iterator[tuple[str, str]]:
    """Return each of the conjuncts that stand in a condition, at whatever depth, and the condition without it."""
    found = set()
    for match in re.finditer(" AND ", condition):
        found.add((_begin(condition, match.start()), match.start()))
        found.add((match.end(), _end(condition, match.end())))
    for begin, end in sorted(found):
        yield condition[begin:end], f"{condition[:begin]}true{condition[end:]}"


def _end(text: str, begin: int) -> int:
    """Return where the operand that begins there ends: a name, or a group in parentheses."""
    depth = 0
    for position in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth < 0 or (depth == 0 and text[position] in " )"):
            return position + (text[position] == ")" and depth == 0)
    return len(text)


def _begin(text: str, end: int) -> int:
    depth = 0
    for position in range(end - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[position], 0)
        if depth < 0:
            return position + 1
        if depth == 0 and text[position] in "( ":
            return position + (text[position] == " ")
    return 0


def test_the_scenario_is_shown_as_the_oracle_says(stage: Stage) -> None:
    assert stage.difference(tuple(SHOWN)) is None
    assert stage.answers_differ() is None
    for view in SHOWN:
        if view != "audit_logs":
            assert any(keys[view] for keys in _SEEN.values() if view in keys), view


def test_no_policy_can_be_dropped_or_opened(
    stage: Stage, record_testsuite_property: Callable[[str, object], None]
) -> None:
    policies = _policies(stage)
    mutants = [
        Mutant(f"{verb} {policy} on {table}", (f"{statement};",), _views_of(table), role)
        for table, policy, role, _ in policies
        for verb, statement in (
            ("drop", f"drop policy {policy} on {table}"),
            ("open", f"alter policy {policy} on {table} using (true)"),
        )
    ]
    described = {
        (relation.name, policy_name(reader))
        for relation in RELATIONS
        if relation.kind == "tenant table"
        for reader in relation.readers
    }
    assert {(table, policy) for table, policy, _, _ in policies} == described
    survived = _survivors(stage, mutants)
    record_testsuite_property(
        "mutants killed: no policy can be dropped or opened", f"{len(mutants) - len(survived)} of {len(mutants)}"
    )
    assert survived == []


# What another condition implies, and withholds where this one is left out.
IMPLIED = {
    "(scope = 'course'::text)": "only rows of scope course have a course (CHECK), and a taught course is one",
}


def test_no_part_of_a_policy_can_be_left_out(
    stage: Stage, record_testsuite_property: Callable[[str, object], None]
) -> None:
    mutants, equal = [], set()
    for table, policy, role, condition in _policies(stage):
        for left_out, weaker in _without_one_conjunct(condition):
            name = f"{policy} on {table} without {left_out}"
            mutants.append(
                Mutant(name, (f"alter policy {policy} on {table} using ({weaker});",), _views_of(table), role)
            )
            if left_out.startswith(tuple(IMPLIED)) and "rights.taught_course_days()" in weaker:
                equal.add(name)
    survived = _survivors(stage, mutants)
    record_testsuite_property(
        "mutants killed: no part of a policy can be left out",
        f"{len(mutants) - len(survived)} of {len(mutants)}, {len(equal)} equal",
    )
    assert len(mutants) > 20
    assert set(survived) == equal
    assert len(equal) == 2


def test_no_part_of_a_barrier_view_can_be_left_out(
    stage: Stage, record_testsuite_property: Callable[[str, object], None]
) -> None:
    mutants = []
    for name, shown in SHOWN.items():
        relation = next(relation for relation in RELATIONS if relation.name == f"api.{shown.view}")
        if relation.kind != "barrier view":
            continue
        columns = ", ".join(relation.columns)
        text = _text(stage, "select pg_get_viewdef(%s::regclass)", relation.name).rstrip(";")
        replace = f"create or replace view {relation.name} with (security_barrier = true) as "
        mutants.append(Mutant(f"{name} open", (f"{replace} select {columns} from {relation.source};",), (name,)))
        for left_out, weaker in _without_one_conjunct(text):
            mutants.append(Mutant(f"{name} without {left_out}", (f"{replace}{weaker};",), (name,)))
        # In the lists of roles and scopes: who is missing, and who reads everything instead of their own.
        whole, own, scopes = re.findall(r"'\{([^}]*)\}'", text)
        mutants.append(
            Mutant(f"{name} for another scope", (f"{replace}{text.replace(scopes, 'organization.read')};",), (name,))
        )
        for role in (*whole.split(","), *filter(None, own.split(","))):
            without = re.sub(rf"(?<=[{{,]){role},|,?{role}(?=[}},])", "", text)
            assert without != text
            mutants.append(Mutant(f"{name} not for {role}", (f"{replace}{without};",), (name,)))
            if role not in whole.split(","):
                everything = without.replace(whole, f"{whole},{role}")
                mutants.append(Mutant(f"{name} with everything for {role}", (f"{replace}{everything};",), (name,)))
    survived = _survivors(stage, mutants)
    record_testsuite_property(
        "mutants killed: no part of a barrier view can be left out", f"{len(mutants) - len(survived)} of {len(mutants)}"
    )
    assert len(mutants) > 15
    assert survived == []


def test_no_view_can_ask_with_its_owners_rights(
    stage: Stage, record_testsuite_property: Callable[[str, object], None]
) -> None:
    views = [relation for relation in RELATIONS if relation.kind == "api view"]
    views += [relation for relation in RELATIONS if relation.kind == "view" and relation.readers]
    mutants = []
    for relation in views:
        names = tuple(name for name, shown in SHOWN.items() if relation.name in (f"api.{shown.view}", shown.table))
        assert names, relation.name
        # A view that asks with its reader's rights does so within another view, too: alone this one changes nothing.
        within = "alter view core.enrollment_days set (security_invoker = false);"
        inner = f"{within} grant select on core.enrollments to {{owner}}; alter view core.enrollment_days owner to {{owner}};"
        # Owned by whom row security binds, it shows nothing; by whom it does not, everything.
        mutants += [
            Mutant(
                f"{relation.name} of {owner}",
                (
                    f"alter view {relation.name} set (security_invoker = false); grant create on schema {relation.schema} to {owner};"
                    f" grant usage on schema core, ops, stage_two, stage_three, audit to {owner};"
                    f" grant select on {relation.source or 'core.enrollments'} to {owner};"
                    f" alter view {relation.name} owner to {owner};",
                    inner.format(owner=owner) if relation.source == "core.enrollment_days" else "select",
                ),
                names,
            )
            for owner in ("lyceum_owner", "lyceum_definer")
        ]
    survived = _survivors(stage, mutants)
    record_testsuite_property(
        "mutants killed: no view can ask with its owners rights", f"{len(mutants) - len(survived)} of {len(mutants)}"
    )
    assert survived == []


def test_no_leaf_can_be_opened(stage: Stage, record_testsuite_property: Callable[[str, object], None]) -> None:
    """A leaf is closed three times: by its schema, by its grants and by its row security. Only all three open it."""
    connection = stage.theatre.connection
    leaves = [
        name
        for (name,) in connection.execute(
            """
            select oid::regclass::text from pg_class
            where relkind in ('r', 'p') and relnamespace = 'partitions'::regnamespace order by oid
            """
        ).fetchall()
    ]
    assert len(leaves) > 20
    token = stage.theatre.token(Asking("org_admin", HERE))

    def state(leaf: str) -> str:
        with connection.transaction(force_rollback=True):
            connection.execute(
                "select set_config('lyceum.token', %s, true), set_config('role', 'lyceum_org_admin', true)", [token]
            )
            try:
                connection.execute(f"select from {leaf}".encode())
            except psycopg.errors.InsufficientPrivilege:
                return "refused"
        row = connection.execute(
            "select relrowsecurity and relforcerowsecurity from pg_class where oid = %s::regclass", [leaf]
        ).fetchone()
        return "without rows" if row == (True,) else "open"

    survived = []
    for leaf in leaves:
        with connection.transaction(force_rollback=True):
            states = [state(leaf)]
            for statement in (
                "grant usage on schema partitions to lyceum_org_admin",
                f"grant select on {leaf} to lyceum_org_admin",
                f"alter table {leaf} disable row level security",
            ):
                connection.execute(statement.encode())
                states.append(state(leaf))
        if states != ["refused", "refused", "without rows", "open"]:
            survived.append(f"{leaf}: {states}")
    record_testsuite_property("mutants killed: no leaf can be opened", f"{3 * len(leaves)} of {3 * len(leaves)}")
    assert survived == []


WHOSE_ROWS = "rights.whose_rows(text[],text[],text[])"
TOKEN_CLAIMS = "auth.token_claims(text,timestamp with time zone,timestamp with time zone)"
# Of each function every condition, and what it becomes. `equal` are those that another one implies, with the reason.
FUNCTION_MUTANTS: tuple[tuple[str, str, str], ...] = (
    ("auth.organization_id(text)", "claims ->> 'role' = role_name", "true"),
    ("auth.organization_id(text,text)", "claims ->> 'role' = role_name", "true"),
    ("auth.organization_id(text,text)", "claims -> 'scopes' ? scope", "true"),
    ("auth.user_id(text)", "claims ->> 'role' = role_name", "true"),
    ("auth.reads_every_organization(text)", "claims ->> 'role' = role_name", "true"),
    ("auth.reads_every_organization(text)", "claims ->> 'organization_id' is null", "true"),
    ("auth.reads_every_organization(text)", "and claims is not null", ""),
    ("auth.claims()", "logins.login_name = session_user", "true"),
    ("auth.claims()", "statement_timestamp()", "'-infinity'"),
    (TOKEN_CLAIMS, "between 85 and 4096", "between 85 and 400000"),
    (TOKEN_CLAIMS, "or parts[1] <> 'v1'", ""),
    (
        TOKEN_CLAIMS,
        "and (keys.retired_at is null or keys.retired_at > now_at)",
        "",
    ),
    (TOKEN_CLAIMS, "if not found then", "if false then"),
    (TOKEN_CLAIMS, "<> sha256(", "is null and parts[4] <> ("),
    (TOKEN_CLAIMS, "begun_at < expires_at", "true"),
    (TOKEN_CLAIMS, "and now_at < expires_at + interval '60 seconds'", ""),
    (TOKEN_CLAIMS, "and expires_at <= now_at + interval '65 seconds'", ""),
    (TOKEN_CLAIMS, "claims ->> 'role' in (", "true or claims ->> 'role' in ("),
    ("rights.open_day()", "watermarks.closed_through + 1", "watermarks.closed_through"),
    ("rights.open_day()", "watermarks.closed_through + 1", "watermarks.closed_through + 2"),
    ("rights.open_day()", "watermarks.organization_id = asking_organization", "watermarks.organization_id = 1"),
    *(
        ("rights.taught_course_days()", fragment, "true")
        for fragment in (
            "taught.organization_id = asking_organization",
            "taught.user_id = asking_user",
            "taught.role = 'trainer'",
        )
    ),
    (WHOSE_ROWS, "not pg_has_role('lyceum_' || asking_role, 'usage')", "false"),
    (WHOSE_ROWS, "asking_role = any(whole)", "true"),
    (WHOSE_ROWS, "and (asking_role <> 'service' or claims -> 'scopes' ?| scopes)", ""),
    (WHOSE_ROWS, "asking_role = any(own)", "true"),
    (WHOSE_ROWS, "last_user_id := first_user_id", "last_user_id := 9223372036854775807"),
    (WHOSE_ROWS, "first_user_id := (claims ->> 'user_id')::bigint", "last_user_id := 9223372036854775807"),
    *(
        ("rights.own_course_ids(text)", fragment, "true")
        for fragment in (
            "enrollments.organization_id = asking_organization",
            "enrollments.user_id = asking_user",
            "not isempty(enrollments.days)",
            "courses.organization_id = asking_organization",
            "courses.learner_id = asking_user",
        )
    ),
)
EQUAL = {
    (
        TOKEN_CLAIMS,
        "and now_at < expires_at + interval '60 seconds'",
    ): "only a statement that outlives its token by a minute shows it",
}


def test_no_condition_of_a_function_can_be_left_out(
    stage: Stage, record_testsuite_property: Callable[[str, object], None]
) -> None:
    mutants = []
    for signature, fragment, instead in FUNCTION_MUTANTS:
        text = _text(stage, "select pg_get_functiondef(%s::regprocedure)", signature)
        assert fragment in text, (signature, fragment)
        mutants.append(Mutant(f"{signature}: {fragment}", (text.replace(fragment, instead, 1),)))
    described = {function.signature for function in FUNCTIONS if function.signature.startswith(("auth.", "rights."))}
    # Executed by the API's login alone, before there is a tenant, and by the pipeline alone.
    of_no_tenant = {"auth.find_tenant(text,bigint,bigint)", "auth.forget_people(bigint,bigint[])"}
    # Tells the same to everybody, and has no condition.
    of_everybody = {"auth.warehouse_id()"}
    assert {signature for signature, _, _ in FUNCTION_MUTANTS} == described - of_no_tenant - of_everybody
    survived = _survivors(stage, mutants, has_answers=True)
    equal = {f"{signature}: {fragment}" for signature, fragment in EQUAL}
    record_testsuite_property(
        "mutants killed: no condition of a function can be left out",
        f"{len(mutants) - len(survived)} of {len(mutants)}, {len(equal)} equal",
    )
    assert set(survived) == equal


def _text(stage: Stage, query: str, name: str) -> str:
    row = stage.theatre.connection.execute(query.encode(), [name]).fetchone()
    assert row is not None
    return str(row[0])
