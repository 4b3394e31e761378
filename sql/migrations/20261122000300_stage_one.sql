-- migrate:up

create table stage_one.raw_data_collection (
    organization_id bigint not null,
    batch_id bigint not null,
    ordinal bigint not null,
    collected_at timestamptz not null,
    event_id uuid not null,
    occurred_at timestamptz not null,
    learner_id bigint not null,
    trainer_id bigint,
    course_id bigint not null,
    source_id integer not null,
    object_id integer not null,
    verb_id integer not null,
    quantity integer not null,
    activity_date date not null,
    active_minute integer,
    is_course_object boolean not null,
    is_video boolean not null,
    is_void boolean not null,
    is_voided boolean not null,
    is_success boolean,
    occurred_at_precision text not null,
    score_scaled numeric,
    video_length_seconds numeric,
    played_segments nummultirange,
    payload json,
    constraint raw_data_collection_precision_check check (occurred_at_precision in ('instant', 'day')),
    constraint raw_data_collection_minute_check check ((active_minute is null) = (occurred_at_precision = 'day'))
) partition by range (collected_at);
create index raw_data_collection_batch_idx on stage_one.raw_data_collection (organization_id, batch_id);

comment on table stage_one.raw_data_collection is 'One row per accepted event; a day leaf goes once its end is 24 hours old.';
comment on column stage_one.raw_data_collection.ordinal is '1-based position of the record in its input.';
comment on column stage_one.raw_data_collection.activity_date is 'Calendar day of the event in the organization''s own time zone.';
comment on column stage_one.raw_data_collection.active_minute is 'Minutes from 1970-01-01T00:00Z to the instant, truncated; null where the source knows only the day.';
comment on column stage_one.raw_data_collection.payload is 'The record with every identity replaced by a pseudonym; null where the typed columns say everything.';

create table stage_one.event_keys (
    organization_id bigint not null,
    event_id uuid not null,
    activity_date date not null,
    batch_id bigint not null,
    content_hash bytea not null,
    constraint event_keys_pkey primary key (organization_id, event_id, activity_date)
) partition by range (activity_date);
comment on table stage_one.event_keys is 'Deduplication ledger: one row per accepted event id, with the SHA-256 of its canonical content.';

create table stage_one.void_tombstones (
    organization_id bigint not null,
    target_event_id uuid not null,
    void_event_id uuid not null,
    batch_id bigint not null,
    constraint void_tombstones_pkey primary key (organization_id, target_event_id)
);
comment on table stage_one.void_tombstones is 'Voids that arrived before the event they void.';

create table stage_one.quarantine (
    organization_id bigint not null,
    quarantined_at timestamptz not null,
    quarantine_id bigint not null default nextval('ops.quarantine_id'),
    source_id integer not null,
    batch_id bigint not null,
    ordinal bigint not null,
    reason text not null,
    detail text not null,
    event_id uuid,
    activity_date date,
    content_hash bytea,
    byte_length bigint,
    payload json,
    resolution text,
    resolved_at timestamptz,
    constraint quarantine_pkey primary key (organization_id, quarantined_at, quarantine_id),
    constraint quarantine_resolution_check check (resolution in ('replayed', 'discarded')),
    constraint quarantine_resolved_check check ((resolution is null) = (resolved_at is null)),
    constraint quarantine_reason_check check (reason in (
        'malformed', 'invalid', 'missing_id', 'missing_timestamp', 'missing_actor', 'too_long', 'unreadable_tail',
        'conflict', 'too_late', 'void_too_late', 'in_the_future', 'older_than_retention'
    ))
) partition by range (quarantined_at);
create index quarantine_batch_idx on stage_one.quarantine (organization_id, batch_id);
comment on table stage_one.quarantine is 'One row per refused record, with the reason a person can act on. The payload holds pseudonyms only; null where the record could not be read well enough to replace identities.';

-- migrate:down
