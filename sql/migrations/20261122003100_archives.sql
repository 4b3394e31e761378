-- migrate:up

create table ops.partition_archives (
    table_name text not null,
    partition_name text not null,
    organization_id bigint,
    period_lower date not null,
    period_upper date not null,
    uri text not null,
    row_count bigint not null,
    byte_length bigint not null,
    sha256 bytea not null,
    manifest jsonb not null,
    archived_at timestamptz not null,
    verified_at timestamptz not null,
    relation_id bigint not null,
    restored_until timestamptz,
    constraint partition_archives_key unique nulls not distinct (organization_id, table_name, partition_name),
    constraint partition_archives_period_check check (period_lower < period_upper),
    constraint partition_archives_row_count_check check (row_count >= 0)
);
comment on table ops.partition_archives is 'The verified archive of one partition. Sealed weeks have theirs in ops.archives.';
comment on column ops.partition_archives.organization_id is 'Null: the rows of all organizations.';
comment on column ops.partition_archives.period_upper is 'Exclusive. Local days for keys of type date, UTC days for instants.';
comment on column ops.partition_archives.uri is 'Name of the file below the place of the archives.';
comment on column ops.partition_archives.verified_at is 'Clock of the last time that the file was found whole.';
comment on column ops.partition_archives.relation_id is 'The partition that was archived, or restored, by its oid: one that was made anew knows nothing of the archived rows.';
comment on column ops.partition_archives.restored_until is 'No clean-up drops the partition before, because somebody has asked for its rows.';

-- Before, an archive was whole when it was written, and again when its partition went.
alter table ops.archives add column verified_at timestamptz;
update ops.archives set verified_at = archived_at;
alter table ops.archives alter column verified_at set not null;
comment on column ops.archives.verified_at is 'Clock of the last time that the file was found whole.';

create table ops.archive_policies (
    table_name text not null,
    retention interval,
    constraint archive_policies_pkey primary key (table_name),
    constraint archive_policies_retention_check check (retention >= interval '0')
);
comment on table ops.archive_policies is 'How long archives stay.';
comment on column ops.archive_policies.retention is 'After the end of the archived period; null: for good. An archive that its partition or a late event still needs stays longer.';

-- A week is restored for late events as long as stage three has its year, which may have begun with it.
insert into ops.archive_policies (table_name, retention) values
('stage_one.event_keys', '8 years'),
('stage_two.learner_day_states', '8 years'),
('stage_two.learner_video_day_states', '8 years'),
('stage_two.trainer_day_states', '8 years'),
('stage_three.aggregated_analytics', null),
('audit.audit_logs', null);

-- migrate:down
