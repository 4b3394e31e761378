-- migrate:up

-- Reports for learners, trainers and organizations: what was written, for whom, where it lies, and the key to it.
create table reporting.reports (
    organization_id bigint not null,
    report_id bigint generated always as identity,
    kind text not null,
    owner_user_id bigint,
    period_type text not null,
    period_start date not null,
    period_end date not null,
    status text not null,
    failure text,
    formats text[] not null default '{}',
    uri text,
    byte_length bigint,
    sha256 bytea,
    data_version bigint,
    told_through date,
    people bigint[] not null default '{}',
    key_provider text,
    key_version integer,
    wrapped_key bytea,
    requested_by text not null,
    requested_at timestamptz not null,
    generated_at timestamptz,
    expires_at timestamptz,
    constraint reports_pkey primary key (organization_id, report_id),
    constraint reports_organization_fkey foreign key (organization_id) references core.organizations (organization_id),
    constraint reports_kind_check check (kind in ('learner', 'trainer', 'organization')),
    constraint reports_owner_check check ((kind = 'organization') = (owner_user_id is null)),
    constraint reports_period_check check (period_type in ('week', 'month') and period_start <= period_end),
    constraint reports_status_check check (status in ('pending', 'ready', 'failed', 'expired')),
    constraint reports_failure_check check ((status = 'failed') = (failure is not null)),
    constraint reports_ready_check check (
        status <> 'ready'
        or num_nulls(
            uri, byte_length, sha256, data_version, told_through, key_provider, key_version, wrapped_key, generated_at, expires_at
        ) = 0
    ),
    constraint reports_key_check check (status = 'ready' or wrapped_key is null),
    constraint reports_sha256_check check (octet_length(sha256) = 32)
);
create unique index reports_ready_key
on reporting.reports (organization_id, kind, owner_user_id, period_type, period_start) nulls not distinct
where status = 'ready';
create unique index reports_pending_key
on reporting.reports (organization_id, kind, owner_user_id, period_type, period_start) nulls not distinct
where status = 'pending';
create index reports_owner_idx on reporting.reports (organization_id, owner_user_id);
create index reports_requested_at_idx on reporting.reports (requested_at);

comment on table reporting.reports is 'One row per report: of a learner, a trainer or an organization about one period. Kept for 7 days.';
comment on column reporting.reports.organization_id is 'Whose report it is, or whose person''s.';
comment on column reporting.reports.report_id is 'The number by which it is asked for.';
comment on column reporting.reports.kind is 'learner: own progress; trainer: the courses that they teach; organization: the whole of it.';
comment on column reporting.reports.owner_user_id is 'The learner or trainer whose report it is, with whose rights it was read; null for that of the organization.';
comment on column reporting.reports.period_type is 'week or month.';
comment on column reporting.reports.period_start is 'First day of the period, on the organization''s own calendar: a Monday, or the first of a month.';
comment on column reporting.reports.period_end is 'Last day of the period.';
comment on column reporting.reports.status is 'pending: being written; ready: can be read; failed: could not be written; expired: its key is destroyed, its file goes.';
comment on column reporting.reports.failure is 'Why it could not be written: the kind of error, never what a row said.';
comment on column reporting.reports.formats is 'What it can be read as: html, pdf, csv, parquet.';
comment on column reporting.reports.uri is 'Name of the file that holds all formats, encrypted; relative to the place of the reports.';
comment on column reporting.reports.byte_length is 'Length of that file.';
comment on column reporting.reports.sha256 is 'SHA-256 of that file.';
comment on column reporting.reports.data_version is 'Published version of the organization that the numbers were read from.';
comment on column reporting.reports.told_through is 'Last closed day of that version.';
comment on column reporting.reports.people is 'Pseudonymous ids of the people that it tells of by themselves, the owner left out: a trainer''s list of learners.';
comment on column reporting.reports.key_provider is 'What wraps the data key of this report.';
comment on column reporting.reports.key_version is 'Version of the provider''s key.';
comment on column reporting.reports.wrapped_key is 'The data key, wrapped; null once it is destroyed, and before the report is ready.';
comment on column reporting.reports.requested_by is 'The run or command that asked for it.';
comment on column reporting.reports.requested_at is 'Clock at which it was asked for.';
comment on column reporting.reports.generated_at is 'Clock at which it was written.';
comment on column reporting.reports.expires_at is 'From then on nobody can read it.';

insert into ops.retention_policies (subject, retention, cleanup) values ('reporting.reports', '7 days', 'daily');

-- migrate:down
