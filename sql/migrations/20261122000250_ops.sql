-- migrate:up

create sequence ops.quarantine_id;

create table ops.inputs (
    organization_id bigint not null,
    input_id bigint generated always as identity,
    source_id integer not null,
    fingerprint bytea not null,
    name text not null,
    byte_length bigint not null,
    first_seen_at timestamptz not null,
    next_ordinal bigint not null default 1,
    completed_at timestamptz,
    constraint inputs_pkey primary key (organization_id, input_id),
    constraint inputs_fingerprint_key unique (organization_id, fingerprint),
    constraint inputs_source_fkey foreign key (organization_id, source_id)
    references core.sources (organization_id, source_id)
);
comment on table ops.inputs is 'One row per input (a file, or one table of one OULAD presentation) known by the SHA-256 of its content. next_ordinal is where a resumed collection goes on.';

create table ops.batches (
    organization_id bigint not null,
    batch_id bigint generated always as identity,
    source_id integer not null,
    input_id bigint,
    first_ordinal bigint not null,
    last_ordinal bigint not null,
    collected_at timestamptz not null,
    collected_hour timestamptz not null,
    is_history boolean not null,
    has_event_keys boolean not null,
    records_read integer not null,
    events_accepted integer not null,
    duplicates integer not null,
    quarantined integer not null,
    run_id text not null,
    constraint batches_pkey primary key (organization_id, batch_id),
    constraint batches_input_key unique (organization_id, input_id, first_ordinal),
    constraint batches_source_fkey foreign key (organization_id, source_id)
    references core.sources (organization_id, source_id),
    constraint batches_nothing_lost_check check (records_read = events_accepted + duplicates + quarantined),
    constraint batches_size_check check (records_read between 0 and 100000)
);
create index batches_hour_idx on ops.batches (organization_id, collected_hour);
comment on table ops.batches is 'One row per committed batch. Records read = events accepted + duplicates + quarantined, always. input_id is null for a replay from quarantine.';

create table ops.pending_hours (
    organization_id bigint not null,
    collected_hour timestamptz not null,
    constraint pending_hours_pkey primary key (organization_id, collected_hour)
);
comment on table ops.pending_hours is 'Collected hours whose contribution to stage two is missing or outdated.';

create table ops.week_states (
    organization_id bigint not null,
    week_start date not null,
    state text not null,
    opened_at timestamptz not null,
    sealed_at timestamptz,
    constraint week_states_pkey primary key (organization_id, week_start),
    constraint week_states_state_check check (state in ('open', 'sealed')),
    constraint week_states_sealed_check check ((state = 'sealed') = (sealed_at is not null)),
    constraint week_states_monday_check check (extract(isodow from week_start) = 1)
);
comment on table ops.week_states is 'Whether a week of one organization still takes events. No row: it was never built.';

create table ops.organization_watermarks (
    organization_id bigint not null,
    first_activity_on date,
    closed_through date,
    data_version bigint not null default 0,
    data_as_of timestamptz,
    build_id bigint,
    constraint organization_watermarks_pkey primary key (organization_id)
);
comment on column ops.organization_watermarks.closed_through is 'Last local day for which the organization row was published.';
comment on column ops.organization_watermarks.data_version is 'Grows with every publish that changed this organization.';

create table ops.builds (
    build_id bigint generated always as identity,
    as_of timestamptz not null,
    run_id text not null,
    state text not null,
    step text not null,
    failure text,
    constraint builds_pkey primary key (build_id),
    constraint builds_state_check check (state in ('running', 'published', 'failed', 'abandoned'))
);
create unique index builds_running_key on ops.builds (state) where state = 'running';
comment on table ops.builds is 'One row per build. At most one runs.';

create table ops.build_batches (
    build_id bigint not null,
    organization_id bigint not null,
    batch_id bigint not null,
    collected_hour timestamptz not null,
    constraint build_batches_pkey primary key (organization_id, build_id, batch_id)
);
comment on table ops.build_batches is 'The batches of the pending hours as one snapshot saw them when the build began: what came later waits for the next build.';

create table ops.partition_policies (
    parent_table text not null,
    granularity text not null,
    create_ahead integer not null,
    hash_modulus integer not null,
    retention interval not null,
    constraint partition_policies_pkey primary key (parent_table),
    constraint partition_policies_granularity_check check (granularity in ('day', 'week', 'month', 'year')),
    constraint partition_policies_modulus_check check (hash_modulus between 1 and 64)
);
comment on column ops.partition_policies.create_ahead is 'Partitions kept ready beyond the one that holds as_of, in units of the granularity (day: of the month above it).';
comment on column ops.partition_policies.hash_modulus is 'Hash leaves by organization below each time partition; 1 means the time partition is the leaf. A change applies from the next partition on.';

insert into ops.partition_policies (parent_table, granularity, create_ahead, hash_modulus, retention) values
('stage_one.raw_data_collection', 'day', 3, 1, '24 hours'),
('stage_one.event_keys', 'week', 8, 1, '7 days'),
('stage_one.quarantine', 'month', 3, 1, '90 days'),
('stage_two.learner_day_states', 'week', 8, 2, '7 days'),
('stage_two.learner_video_day_states', 'week', 8, 2, '7 days'),
('stage_two.learner_analytics', 'week', 8, 2, '7 days'),
('stage_two.trainer_analytics', 'week', 8, 2, '7 days'),
('stage_two.organization_analytics', 'week', 8, 2, '7 days'),
('stage_three.aggregated_analytics', 'year', 2, 2, '7 years');

create table ops.archives (
    organization_id bigint not null,
    table_name text not null,
    week_start date not null,
    uri text not null,
    row_count bigint not null,
    byte_length bigint not null,
    sha256 bytea not null,
    manifest jsonb not null,
    archived_at timestamptz not null,
    constraint archives_pkey primary key (organization_id, table_name, week_start)
);
comment on table ops.archives is 'The verified archive of one table''s week of one organization; a re-sealed week replaces its row.';

create table ops.expectation_results (
    build_id bigint not null,
    suite text not null,
    expectation text not null,
    severity text not null,
    is_success boolean not null,
    observed jsonb not null,
    constraint expectation_results_pkey primary key (build_id, suite, expectation),
    constraint expectation_results_severity_check check (severity in ('critical', 'warning', 'info'))
);

create table ops.reconciliation_results (
    build_id bigint not null,
    organization_id bigint not null,
    check_name text not null,
    keys_checked bigint not null,
    mismatches bigint not null,
    sample jsonb not null,
    constraint reconciliation_results_pkey primary key (organization_id, build_id, check_name)
);
comment on column ops.reconciliation_results.sample is 'Up to 20 keys that disagree, with both values. Keys are pseudonymous ids.';

-- migrate:down
