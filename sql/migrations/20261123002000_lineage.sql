-- migrate:up

-- Raw rows are gone after a day, and states are kept by hour: what a published number came from would be forgotten with them.
create table ops.batch_days (
    organization_id bigint not null,
    activity_date date not null,
    batch_id bigint not null,
    build_id bigint not null,
    events integer not null,
    voided_events integer not null,
    constraint batch_days_pkey primary key (organization_id, activity_date, batch_id),
    constraint batch_days_batch_fkey foreign key (organization_id, batch_id)
    references ops.batches (organization_id, batch_id),
    constraint batch_days_build_fkey foreign key (build_id) references ops.builds (build_id),
    constraint batch_days_events_check check (events >= 0 and voided_events >= 0)
);
create index batch_days_batch_idx on ops.batch_days (organization_id, batch_id);
comment on table ops.batch_days is 'Which batch brought events of which local day, as the last build that published them found it: from a published number to its inputs.';
comment on column ops.batch_days.build_id is 'The last build that covered the batch and published.';
comment on column ops.batch_days.events is 'Events that count.';
comment on column ops.batch_days.voided_events is 'Events that were voided, and do not count.';

-- migrate:down
