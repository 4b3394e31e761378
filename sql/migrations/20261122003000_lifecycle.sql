-- migrate:up

-- How long partitions stay, on whose schedule they go, and what becomes of them before.
alter table ops.partition_policies
add column cleanup text not null default 'weekly',
add column is_archived boolean not null default false,
add column archive_after interval,
add column hold_grace interval not null default '1 day',
add constraint partition_policies_cleanup_check check (cleanup in ('daily', 'weekly', 'monthly', 'yearly')),
add constraint partition_policies_archive_check check (archive_after is null or is_archived),
add constraint partition_policies_retention_check check (
    retention >= interval '0' and archive_after >= interval '0' and hold_grace >= interval '0'
),
-- A late event may come a day later, and whoever voids it counts on that day.
add constraint partition_policies_raw_retention_check check (
    parent_table <> 'stage_one.raw_data_collection' or retention >= interval '24 hours'
);
comment on column ops.partition_policies.retention is 'How long a partition stays after its end. One by local days ends when they are over in every time zone, a day later than in UTC.';
comment on column ops.partition_policies.cleanup is 'The schedule that drops what has expired.';
comment on column ops.partition_policies.is_archived is 'Whether a partition is archived, and the archive proven, before it goes. Sealed weeks have archives of their own.';
comment on column ops.partition_policies.archive_after is 'How long after its end a partition is archived, where it stays in the table beyond that; null: when it expires.';
comment on column ops.partition_policies.hold_grace is 'How long an expired partition may be on hold before somebody is told.';

update ops.partition_policies as policies
set
    cleanup = known.cleanup,
    is_archived = known.is_archived,
    archive_after = known.archive_after,
    hold_grace = known.hold_grace
from (
    values
    ('stage_one.raw_data_collection', 'daily', false, null::interval, interval '24 hours'),
    ('stage_one.event_keys', 'weekly', false, null, '7 days'),
    ('stage_one.quarantine', 'weekly', false, null, '7 days'),
    ('stage_two.learner_day_states', 'weekly', false, null, '7 days'),
    ('stage_two.learner_video_day_states', 'weekly', false, null, '7 days'),
    ('stage_two.trainer_day_states', 'weekly', false, null, '7 days'),
    ('stage_two.learner_analytics', 'weekly', false, null, '7 days'),
    ('stage_two.trainer_analytics', 'weekly', false, null, '7 days'),
    ('stage_two.organization_analytics', 'weekly', false, null, '7 days'),
    ('stage_three.aggregated_analytics', 'yearly', true, null, '30 days'),
    ('audit.audit_logs', 'yearly', true, '13 months', '30 days')
) as known (parent_table, cleanup, is_archived, archive_after, hold_grace)
where policies.parent_table = known.parent_table;

-- What is no partition and goes row by row.
create table ops.retention_policies (
    subject text not null,
    retention interval not null,
    cleanup text not null,
    constraint retention_policies_pkey primary key (subject),
    constraint retention_policies_retention_check check (retention >= interval '1 day'),
    constraint retention_policies_cleanup_check check (cleanup in ('daily', 'weekly', 'monthly', 'yearly'))
);
comment on table ops.retention_policies is 'How long rows of small tables and pages of reports stay. The library knows how to remove each subject.';

insert into ops.retention_policies (subject, retention, cleanup) values
('reporting.quality_pages', '90 days', 'daily'),
('stage_one.roster_quarantine', '90 days', 'weekly'),
('ops.expectation_results', '13 months', 'weekly'),
('ops.reconciliation_results', '13 months', 'weekly'),
('ops.view_expectation_results', '13 months', 'weekly'),
('ops.view_reconciliation_results', '13 months', 'weekly'),
('ops.build_batches', '13 months', 'weekly'),
('ops.build_users', '13 months', 'weekly'),
('ops.alerts', '13 months', 'weekly');

comment on table reporting.quality_pages is 'One row per kept data-quality page: one a build that had work, as long as ops.retention_policies says.';
comment on column reporting.quality_pages.as_of is 'Clock of the build that the page tells of; its age is counted from it.';

create table ops.partition_drops (
    parent_table text not null,
    partition_name text not null,
    period_lower date not null,
    period_upper date not null,
    expired_at timestamptz not null,
    as_of timestamptz not null,
    byte_length bigint not null,
    is_forced boolean not null,
    is_finished boolean not null default false,
    constraint partition_drops_pkey primary key (parent_table, partition_name)
);
comment on table ops.partition_drops is 'Every partition that a clean-up dropped, or began to drop; the last time, where it was made and dropped again.';
comment on column ops.partition_drops.as_of is 'Clock of the clean-up.';
comment on column ops.partition_drops.is_finished is 'False while it is being detached: it may still be there.';

create table ops.partition_holds (
    parent_table text not null,
    partition_name text not null,
    held_by text not null,
    reason text not null,
    expired_at timestamptz not null,
    grace_ends_at timestamptz not null,
    needs_attention boolean not null,
    found_by text not null,
    seen_as_of timestamptz not null,
    constraint partition_holds_pkey primary key (parent_table, partition_name, held_by),
    constraint partition_holds_found_check check (found_by in ('plan', 'work'))
);
comment on table ops.partition_holds is 'Partitions that have expired and stay for now, as the last clean-up saw them.';
comment on column ops.partition_holds.held_by is 'The consumer that has not passed the partition, or what kept the clean-up from dropping it.';
comment on column ops.partition_holds.found_by is 'plan: looked up by every clean-up. work: met while dropping or archiving, looked at again on the schedule of the table.';

-- migrate:down
