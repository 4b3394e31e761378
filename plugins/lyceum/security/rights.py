"""The one description of rights: every relation of the warehouse, and for every tenant role the rows that it may read.

`generation` makes the SQL files of `sql/repeatable/rights` from it, `gate` compares a database with it, and the tests take
their expectations from it. What is not described here may be read by nobody, and a relation that is not described is a finding.

How rows are withheld:

- A *tenant table* has a column `organization_id`. Row level security is enabled and forced; there is one policy per role and
  command, so that no plan has to weigh the rows of several roles against each other. No policy, no row.
- What is asked about the reader stands in a scalar subquery, `(select auth.organization_id('learner'))`: once a statement, not
  once a row. The functions answer null unless the verified claims carry exactly the role that the policy is for.
- Tenant roles use the schemas `api` and `auth` alone. They have SELECT on columns of tables that they cannot name, because
  the views of `api` ask with their reader's rights.
- Materialized views have no row level security. They belong to `lyceum_definer`, are granted to nobody, and are read through
  security-barrier views that ask `rights.whose_rows` once.
- Leaves (schema `partitions`) have row level security, no policy and no grant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lyceum.security import published_columns as columns_of

TenantRole = Literal["learner", "trainer", "org_admin", "service", "analyst", "auditor"]
"""The role of a token. The role of the database has the prefix."""

TENANT_ROLES: tuple[TenantRole, ...] = ("learner", "trainer", "org_admin", "service", "analyst", "auditor")
ROLE_PREFIX = "lyceum_"
DEFINER = "lyceum_definer"
OWNER = "lyceum_owner"
AUTHENTICATOR = "lyceum_authenticator"
MONITOR = "lyceum_monitor"
PUBLIC = "public"
LEAF_SCHEMA = "partitions"
CANDIDATE_SCHEMA = "build"

RelationKind = Literal["tenant table", "table", "view", "materialized view", "api view", "barrier view", "sequence"]
"""`view` is an internal view, `api view` asks with its reader's rights, `barrier view` asks `rights.whose_rows`."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a relation: `name` for people, `condition` in SQL over its columns.

    A barrier view knows only two kinds: those of the own organization, for a service that has one of `scopes`, and those of
    them whose `own_column` is the user.
    """

    name: str
    condition: str
    own_column: str | None = None
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reader:
    """A tenant role and the rows that it may select. There is no other command: tenant roles write nothing."""

    role: TenantRole
    rows: Rows

    @property
    def database_role(self) -> str:
        """The role as the server knows it."""
        return ROLE_PREFIX + self.role


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation and who may read it.

    `columns` are those that every reader may select. `source` is the relation that a view of `api` shows. `is_read_by_definer`
    lets functions and materialized views of `lyceum_definer` read it. `belongs_to_definer`: its owner is `lyceum_definer`.
    `is_read_by_owner` lets `lyceum_owner` read what is not its own, and with it the pipeline, which checks what people see.
    `keys_without_organization` are unique keys that do not hold the organization, each with the reason.
    """

    name: str
    kind: RelationKind
    readers: tuple[Reader, ...] = ()
    columns: tuple[str, ...] = ()
    source: str | None = None
    comment: str | None = None
    is_read_by_definer: bool = False
    belongs_to_definer: bool = False
    is_read_by_owner: bool = False
    keys_without_organization: tuple[tuple[str, str], ...] = ()

    @property
    def schema(self) -> str:
        """The schema's name."""
        return self.name.partition(".")[0]

    @property
    def unqualified(self) -> str:
        """The name without schema."""
        return self.name.partition(".")[2]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of ours. A definer function runs as its owner, `lyceum_definer`, under a pinned search path.

    `signature` is as `regprocedure` prints it, `file` where its text is, below `sql/repeatable`. Without `executors`, roles of
    the server, its owner alone may call it; `is_public` marks functions that reveal nothing but what they are given.
    """

    signature: str
    file: str
    is_definer: bool = False
    belongs_to_definer: bool = True
    executors: tuple[str, ...] = ()
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema and which roles may use it. `kept_elsewhere`: who makes it also grants it."""

    name: str
    users: tuple[str, ...] = ()
    kept_elsewhere: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A privilege that somebody has on an object which is not their own.

    `kind` is `table`, `sequence`, `column`, `schema`, `function` or `default privileges`; a column's name is
    `schema.table.column`, that of default privileges what they are for.
    """

    kind: str
    name: str
    grantee: str
    privilege: str


@dataclass(frozen=True, slots=True)
class DatabaseRole:
    """A role of the product: the attributes that it has, and the roles that it is a member of.

    `may_log_in`: the operator may give it a password. `may_be_member_of`: where the account that migrates may grant it.
    Whatever is not named here it must not have.
    """

    name: str
    attributes: frozenset[str] = frozenset()
    member_of: tuple[str, ...] = ()
    may_log_in: bool = False
    may_be_member_of: tuple[str, ...] = ()


def database_roles(roles: tuple[TenantRole, ...] = TENANT_ROLES) -> tuple[str, ...]:
    """Return the names that the server knows these roles by."""
    return tuple(ROLE_PREFIX + role for role in roles)


ROLES: tuple[DatabaseRole, ...] = (
    DatabaseRole(OWNER, frozenset({"inherit"})),
    DatabaseRole(DEFINER, frozenset({"inherit", "bypassrls"})),
    *(DatabaseRole(name) for name in database_roles()),
    DatabaseRole(AUTHENTICATOR, member_of=database_roles(), may_log_in=True),
    DatabaseRole("lyceum_pipeline", frozenset({"inherit", "bypassrls"}), (OWNER,), may_log_in=True),
    DatabaseRole(MONITOR, frozenset({"inherit"}), may_log_in=True, may_be_member_of=("pg_monitor",)),
)
PRODUCT_ROLES = tuple(role.name for role in ROLES)

OTHER_GRANTS: tuple[Grant, ...] = (
    # Which files the database holds is asked by whoever builds.
    Grant("table", "schema_history.files", OWNER, "select"),
    Grant("table", "schema_history.migrations", OWNER, "select"),
    # The trail's tables are the owner's; rows come in through functions alone.
    Grant("sequence", "audit.audit_ids", DEFINER, "usage"),
    Grant("table", "audit.audit_logs", DEFINER, "insert"),
)
"""What is granted beside that which relations, schemas and functions say of themselves."""


# The rows. Every condition begins with the organization.


def _indent(text: str, by: int = 4) -> str:
    return text.replace("\n", "\n" + " " * by)


_TAUGHT = "(select rights.taught_course_days())"


def _course_day(day: str) -> str:
    """Return the number that `rights.taught_course_days` has for the row's course and this day."""
    return f"course_id * 4194304 + ({day} - date '0001-01-01')"


_LAST_DAY_OF_PERIOD = """case period_type
    when 'week' then period_start + 6
    when 'month' then (period_start + interval '1 month')::date - 1
    else (period_start + interval '1 year')::date - 1
end"""
_LAST_SHOWN_DAY = f"""greatest(
    period_start,
    least(
        {_indent(_LAST_DAY_OF_PERIOD, 8)},
        (select rights.open_day())
    )
)"""


def _of_organization(role: TenantRole, *scopes: str) -> str:
    if not scopes:
        return f"organization_id = (select auth.organization_id('{role}'))"
    asked = [f"(select auth.organization_id('{role}', '{scope}'))" for scope in scopes]
    if len(asked) == 1:
        return f"organization_id = {asked[0]}"
    listed = ",\n    ".join(asked)
    return f"organization_id = coalesce(\n    {listed}\n)"


def _organization(role: TenantRole, *scopes: str) -> Reader:
    name = "organization" if not scopes else f"organization, with the scope {' or '.join(scopes)}"
    return Reader(role, Rows(name, _of_organization(role, *scopes), scopes=scopes))


def _own(role: TenantRole, column: str) -> Reader:
    condition = f"{_of_organization(role)}\nand {column} = (select auth.user_id('{role}'))"
    return Reader(role, Rows("own rows", condition, own_column=column))


def _own_courses(role: TenantRole) -> Reader:
    return Reader(
        role,
        Rows(
            "courses that they learn in or teach",
            f"{_of_organization(role)}\nand course_id = any((select rights.own_course_ids('{role}'))::bigint[])",
        ),
    )


_ADMIN = _organization("org_admin")
_ANALYST = _organization("analyst")
_ANALYTICS_SERVICE = _organization("service", "analytics.read")
_DIRECTORY_SERVICE = _organization("service", "organization.read")
_EITHER_SERVICE = _organization("service", "analytics.read", "organization.read")

_OWN_PERIODS = Reader(
    "learner",
    Rows(
        "own learner rows",
        f"""{_of_organization("learner")}
and subject_type = 'learner'
and subject_id = (select auth.user_id('learner'))""",
    ),
)

# An organization row's subject is the organization, whose number may be that of a user: the type is part of "own".
_TAUGHT_PERIODS = Reader(
    "trainer",
    Rows(
        "own rows, and those of learners in a course that they taught on every day of the row's period",
        f"""{_of_organization("trainer")}
and (
    (subject_type in ('learner', 'trainer') and subject_id = (select auth.user_id('trainer')))
    or (
        subject_type = 'learner'
        and scope = 'course'
        and is_enrolled
        and {_TAUGHT} @> ({_course_day("period_start")})
        and (
            period_type = 'day'
            or {_TAUGHT} @> int8range(
                {_course_day("period_start")},
                {_course_day(_indent(_LAST_SHOWN_DAY, 16))},
                '[]'
            )
        )
    )
)""",
    ),
)

_TAUGHT_DAYS = Reader(
    "trainer",
    Rows(
        "own rows, and those of learners in a course that they taught on the row's day",
        f"""{_of_organization("trainer")}
and (
    learner_id = (select auth.user_id('trainer'))
    or (
        scope = 'course'
        and is_enrolled
        and {_TAUGHT} @> ({_course_day("activity_date")})
    )
)""",
    ),
)

# A pair of learner and course has no day of its own: it tells how things stand, and they are told as of the last closed day.
_TAUGHT_PAIRS = Reader(
    "trainer",
    Rows(
        "learners who are enrolled, on the last closed day, in a course that they teach on it",
        f"""{_of_organization("trainer")}
and enrolled_days @> ((select rights.open_day()) - 1)
and {_TAUGHT} @> ({_course_day("(select rights.open_day()) - 1")})""",
    ),
)

# A learner's report was read with a learner's rights and a trainer's with a trainer's: who has become a learner reads no list of
# learners. An organization reads what is about the whole of it; a person's report is that person's.
_OWN_LEARNER_REPORTS = Reader(
    "learner",
    Rows(
        "own reports as a learner",
        f"""{_of_organization("learner")}
and owner_user_id = (select auth.user_id('learner'))
and kind = 'learner'""",
    ),
)
_ORGANIZATION_REPORTS = Reader(
    "org_admin",
    Rows("reports of the organization, nobody's own", f"{_of_organization('org_admin')}\nand kind = 'organization'"),
)

# An organization's auditor reads what is about the organization, the operator's auditor everything.
_AUDITOR = Reader(
    "auditor",
    Rows(
        "organization; every row for an auditor of the operator",
        f"""{_of_organization("auditor")}
or (select auth.reads_every_organization('auditor'))""",
    ),
)


def _everybody_of_the_organization(service: Reader) -> tuple[Reader, ...]:
    return (_organization("learner"), _organization("trainer"), _ADMIN, service, _ANALYST)


def _private(*names: str) -> tuple[Relation, ...]:
    return tuple(Relation(name, "tenant table") for name in names)


def _free(*names: str) -> tuple[Relation, ...]:
    return tuple(Relation(name, "table") for name in names)


def _counted_tenants(*names: str) -> tuple[Relation, ...]:
    return tuple(Relation(name, "tenant table", is_read_by_definer=True) for name in names)


def _counted(*names: str) -> tuple[Relation, ...]:
    return tuple(Relation(name, "table", is_read_by_definer=True) for name in names)


_TABLES: tuple[Relation, ...] = (
    Relation(
        "core.organizations",
        "tenant table",
        _everybody_of_the_organization(_EITHER_SERVICE),
        columns_of.ORGANIZATIONS,
        is_read_by_definer=True,
        keys_without_organization=(
            ("organizations_slug_key", "the slug is the operator's own name of an organization, one a warehouse"),
        ),
    ),
    Relation(
        "core.organization_time_zones",
        "tenant table",
        _everybody_of_the_organization(_EITHER_SERVICE),
        columns_of.ORGANIZATION_TIME_ZONES,
        is_read_by_definer=True,
    ),
    Relation(
        "core.users",
        "tenant table",
        (_ADMIN, _DIRECTORY_SERVICE),
        columns_of.USERS,
        is_read_by_definer=True,
    ),
    Relation(
        "core.courses",
        "tenant table",
        (_own_courses("learner"), _own_courses("trainer"), _ADMIN, _DIRECTORY_SERVICE, _ANALYST),
        columns_of.COURSES,
    ),
    Relation(
        "core.enrollments",
        "tenant table",
        (_own("learner", "user_id"), _own("trainer", "user_id"), _ADMIN, _DIRECTORY_SERVICE),
        columns_of.ENROLLMENTS,
        is_read_by_definer=True,
    ),
    Relation(
        "ops.organization_watermarks",
        "tenant table",
        _everybody_of_the_organization(_EITHER_SERVICE),
        columns_of.ORGANIZATION_WATERMARKS,
        is_read_by_definer=True,
    ),
    Relation(
        "ops.view_versions",
        "tenant table",
        _everybody_of_the_organization(_EITHER_SERVICE),
        columns_of.VIEW_VERSIONS,
        is_read_by_definer=True,
    ),
    Relation(
        "stage_two.learner_analytics",
        "tenant table",
        (_own("learner", "learner_id"), _TAUGHT_DAYS, _ADMIN, _ANALYTICS_SERVICE),
        columns_of.LEARNER_ANALYTICS,
    ),
    Relation(
        "stage_two.trainer_analytics",
        "tenant table",
        (_own("trainer", "trainer_id"), _ADMIN, _ANALYTICS_SERVICE),
        columns_of.TRAINER_ANALYTICS,
    ),
    Relation(
        "stage_two.organization_analytics",
        "tenant table",
        (_ADMIN, _ANALYTICS_SERVICE),
        columns_of.ORGANIZATION_ANALYTICS,
    ),
    Relation(
        "stage_three.aggregated_analytics",
        "tenant table",
        (_OWN_PERIODS, _TAUGHT_PERIODS, _ADMIN, _ANALYTICS_SERVICE, _ANALYST),
        columns_of.AGGREGATED_ANALYTICS,
    ),
    Relation(
        "stage_three.learner_courses",
        "tenant table",
        (_TAUGHT_PAIRS, _ADMIN, _ANALYST),
        columns_of.LEARNER_COURSES,
        is_read_by_definer=True,
    ),
    Relation(
        "reporting.reports",
        "tenant table",
        (_OWN_LEARNER_REPORTS, _own("trainer", "owner_user_id"), _ORGANIZATION_REPORTS),
        tuple(dict.fromkeys(columns_of.REPORTS + columns_of.REPORT_FILES)),
    ),
    # What the materialized views select.
    Relation("audited.learner_analytics_summary", "tenant table", is_read_by_definer=True),
    Relation("audited.organization_metrics", "tenant table", is_read_by_definer=True),
    # Beside what is about people: the functions of `monitoring` count and date them.
    *_counted_tenants(
        "core.sources",
        "ops.archives",
        "ops.batches",
        "ops.erasures",
        "ops.partition_archives",
        "ops.pending_hours",
        "ops.rosters",
        "ops.week_states",
        "stage_one.quarantine",
        "stage_one.roster_quarantine",
    ),
    *_private(
        "core.course_aliases",
        "core.objects",
        "core.roster_classes",
        "core.roster_enrollments",
        "core.roster_people",
        "core.user_identities",
        "core.user_profiles",
        "core.verbs",
        "ops.batch_days",
        "ops.build_batches",
        "ops.build_users",
        "ops.inputs",
        "ops.lrs_cursors",
        "ops.pending_users",
        "ops.reconciliation_results",
        "ops.user_merges",
        "ops.view_reconciliation_results",
        "ops.view_refresh_organizations",
        "stage_one.event_keys",
        "stage_one.raw_data_collection",
        "stage_one.void_tombstones",
        "stage_two.learner_day_states",
        "stage_two.learner_video_day_states",
        "stage_two.trainer_day_states",
    ),
    Relation(
        "auth.logins",
        "tenant table",
        belongs_to_definer=True,
        keys_without_organization=(
            ("logins_pkey", "a login is a role of the server, whatever organization it is for"),
        ),
    ),
    Relation("auth.signing_keys", "table", belongs_to_definer=True),
    Relation(
        "audit.audit_logs",
        "tenant table",
        (_AUDITOR,),
        columns_of.AUDIT_LOGS,
        is_read_by_definer=True,
        keys_without_organization=(
            ("audit_logs_pkey", "ids come from one sequence, and rows about the server have no organization"),
            ("audit_logs_line_key", "a line of the server's log is one line, whomever it is about"),
        ),
    ),
    Relation("audit.batches", "table", belongs_to_definer=True, is_read_by_owner=True),
    Relation("audit.chain", "table", belongs_to_definer=True, is_read_by_owner=True),
    *_free("audit.known_rights", "audit.log_files", "audit.log_sessions"),
    Relation("audit.audit_ids", "sequence"),
    *_counted(
        "ops.alerts",
        "ops.backup_runs",
        "ops.build_steps",
        "ops.builds",
        "ops.metric_series",
        "ops.metrics",
        "ops.partition_drops",
        "ops.partition_holds",
        "ops.partition_policies",
        "ops.retention_policies",
        "ops.view_refreshes",
        "ops.warehouse_identity",
    ),
    *_free(
        "ops.archive_policies",
        "ops.expectation_results",
        "ops.view_expectation_results",
        "reporting.quality_pages",
        "schema_history.files",
        "schema_history.migrations",
    ),
    Relation("ops.quarantine_id", "sequence"),
)

_INTERNAL_VIEWS: tuple[Relation, ...] = (
    Relation(
        "core.enrollment_days",
        "view",
        (_own("learner", "user_id"), _own("trainer", "user_id"), _ADMIN, _DIRECTORY_SERVICE),
        columns_of.ENROLLMENT_DAYS,
        is_read_by_definer=True,
    ),
    Relation("ops.current_build", "view"),
    Relation("ops.view_scope", "view"),
)

_MATERIALIZED_VIEWS: tuple[Relation, ...] = (
    Relation(
        "stage_three.mv_learner_analytics_summary", "materialized view", belongs_to_definer=True, is_read_by_owner=True
    ),
    Relation(
        "stage_three.mv_organization_metrics", "materialized view", belongs_to_definer=True, is_read_by_owner=True
    ),
)

_BARRIER_VIEWS: tuple[Relation, ...] = (
    Relation(
        "api.learner_analytics_summary",
        "barrier view",
        (_own("learner", "learner_id"), _own("trainer", "learner_id"), _ADMIN, _ANALYTICS_SERVICE, _ANALYST),
        columns_of.LEARNER_SUMMARY,
        source="stage_three.mv_learner_analytics_summary",
        comment="One row per learner and course, as the last refresh told it.",
        belongs_to_definer=True,
    ),
    Relation(
        "api.organization_metrics",
        "barrier view",
        (_ADMIN, _ANALYTICS_SERVICE, _ANALYST),
        columns_of.ORGANIZATION_METRICS,
        source="stage_three.mv_organization_metrics",
        comment="One row per organization, as the last refresh told it.",
        belongs_to_definer=True,
    ),
)


def _shown(name: str, source: str, comment: str, columns: tuple[str, ...] = ()) -> Relation:
    """Return the view of `api` that shows what its readers may see of a table or an internal view, or these columns of it."""
    shown = next(relation for relation in (*_TABLES, *_INTERNAL_VIEWS) if relation.name == source)
    return Relation(f"api.{name}", "api view", shown.readers, columns or shown.columns, source=source, comment=comment)


_API_VIEWS: tuple[Relation, ...] = (
    _shown("organizations", "core.organizations", "The organization of whoever is asking."),
    _shown("organization_time_zones", "core.organization_time_zones", "Its time zones, each from an instant on."),
    _shown("users", "core.users", "Its people, by pseudonymous ids."),
    _shown("courses", "core.courses", "Courses."),
    _shown(
        "enrollments", "core.enrollment_days", "One row per person, course and role: the days, as the roster tells."
    ),
    _shown("freshness", "ops.organization_watermarks", "How current the published numbers are."),
    _shown("view_versions", "ops.view_versions", "Which versions of the materialized views were shown, by refresh."),
    _shown("learner_analytics", "stage_two.learner_analytics", "Learners by day: the open weeks."),
    _shown("trainer_analytics", "stage_two.trainer_analytics", "Trainers by course and day: the open weeks."),
    _shown("organization_analytics", "stage_two.organization_analytics", "The organization by day: the open weeks."),
    _shown(
        "aggregated_analytics",
        "stage_three.aggregated_analytics",
        "Learners, trainers and the organization by day, week, month and year. Add rows of one period_type and scope only.",
    ),
    _shown("learner_courses", "stage_three.learner_courses", "One row per learner and course."),
    _shown(
        "reports", "reporting.reports", "Reports that were written for whoever is asking.", columns=columns_of.REPORTS
    ),
    _shown(
        "report_files",
        "reporting.reports",
        "Their files and wrapped keys, for the service that hands them out.",
        columns=columns_of.REPORT_FILES,
    ),
    _shown("audit_logs", "audit.audit_logs", "Who did what: accesses and changes of rights."),
)

RELATIONS: tuple[Relation, ...] = (
    *_TABLES,
    *_INTERNAL_VIEWS,
    *_MATERIALIZED_VIEWS,
    *_BARRIER_VIEWS,
    *_API_VIEWS,
)

SCHEMAS: tuple[Schema, ...] = (
    Schema("api", database_roles()),
    Schema("audit", (OWNER, AUTHENTICATOR), kept_elsewhere=True),
    Schema("audited", (DEFINER,)),
    Schema("auth", (*database_roles(), AUTHENTICATOR, OWNER), kept_elsewhere=True),
    Schema("build"),
    Schema("core", (DEFINER,)),
    Schema("extensions", kept_elsewhere=True),
    Schema("monitoring", (MONITOR, OWNER)),
    Schema("ops", (DEFINER,)),
    Schema("partitions"),
    Schema("public", (PUBLIC,), kept_elsewhere=True),
    Schema("reporting"),
    Schema("rights"),
    Schema("schema_history", (OWNER,), kept_elsewhere=True),
    Schema("server_statistics", (MONITOR,), kept_elsewhere=True),
    Schema("stage_one", (DEFINER,)),
    Schema("stage_three", (DEFINER,)),
    Schema("stage_two"),
)

FUNCTIONS: tuple[Function, ...] = (
    # Called by the pipeline and the API's login, never by a tenant role.
    Function("audit.add_batch(audit.batches)", "audit/function_add_batch.sql", is_definer=True, executors=(OWNER,)),
    Function(
        "audit.record(text,text,text,bigint,bigint,text,bigint,text,jsonb)",
        "audit/function_record.sql",
        is_definer=True,
        executors=(OWNER, AUTHENTICATOR),
    ),
    Function(
        "audit.record_collected(jsonb)", "audit/function_record_collected.sql", is_definer=True, executors=(OWNER,)
    ),
    Function("audit.refuse_change()", "audit/function_refuse_change.sql", executors=(OWNER,)),
    Function("audit.server_id()", "audit/function_server_id.sql", executors=(OWNER,)),
    Function("auth.claims()", "auth/function_claims.sql", is_definer=True, executors=database_roles()),
    # Called by the pipeline when a person is erased, who may neither read nor write the table.
    Function(
        "auth.forget_people(bigint,bigint[])", "auth/function_forget_people.sql", is_definer=True, executors=(OWNER,)
    ),
    # For the services alone, before they become a tenant.
    Function(
        "auth.find_tenant(text,bigint,bigint)",
        "auth/function_find_tenant.sql",
        is_definer=True,
        executors=(AUTHENTICATOR,),
    ),
    Function(
        "auth.organization_id(text)",
        "auth/function_organization_id.sql",
        executors=database_roles(),
    ),
    Function(
        "auth.organization_id(text,text)",
        "auth/function_organization_id_in_scope.sql",
        executors=database_roles(),
    ),
    Function(
        "auth.reads_every_organization(text)",
        "auth/function_reads_every_organization.sql",
        executors=database_roles(),
    ),
    Function(
        "auth.token_claims(text,timestamp with time zone,timestamp with time zone)", "auth/function_token_claims.sql"
    ),
    Function("auth.user_id(text)", "auth/function_user_id.sql", executors=database_roles()),
    # What the keys of reports are bound to, for whoever may read a report.
    Function(
        "auth.warehouse_id()",
        "auth/function_warehouse_id.sql",
        is_definer=True,
        executors=(OWNER, *database_roles(("learner", "trainer", "org_admin"))),
    ),
    # What the pages in Airflow and the data-quality report ask: nothing in an answer is about a person.
    *(
        Function(
            f"monitoring.{signature}",
            f"monitoring/{signature.partition('(')[0]}.sql",
            is_definer=True,
            executors=(MONITOR, OWNER),
        )
        for signature in (
            "accesses(timestamp with time zone,timestamp with time zone)",
            "alerts()",
            "audit_chain()",
            "backups(integer)",
            "erasures(integer)",
            "freshness(timestamp with time zone)",
            "holds()",
            "newest_samples(text[])",
            "partitions()",
            "recent_work(integer)",
            "refusals(timestamp with time zone,timestamp with time zone)",
            "row_policies()",
            "table_policies()",
            "view_freshness()",
            "volumes(timestamp with time zone,timestamp with time zone)",
        )
    ),
    Function(
        "rights.open_day()", "rights/functions/open_day.sql", is_definer=True, executors=database_roles(("trainer",))
    ),
    Function(
        "rights.own_course_ids(text)",
        "rights/functions/own_course_ids.sql",
        is_definer=True,
        executors=database_roles(("learner", "trainer")),
    ),
    Function(
        "rights.taught_course_days()",
        "rights/functions/taught_course_days.sql",
        is_definer=True,
        executors=database_roles(("trainer",)),
    ),
    Function(
        "rights.whose_rows(text[],text[],text[])",
        "rights/functions/whose_rows.sql",
        executors=database_roles(("learner", "trainer", "org_admin", "service", "analyst")),
    ),
    Function("stage_three.refresh_view(text)", "views/refresh_view.sql", is_definer=True, executors=(OWNER,)),
    Function("stage_two.object_set(integer[])", "function_object_set.sql", belongs_to_definer=False, is_public=True),
    Function(
        "stage_two.object_union(integer[])", "aggregate_object_union.sql", belongs_to_definer=False, is_public=True
    ),
)
