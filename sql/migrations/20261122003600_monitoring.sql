-- migrate:up

create table ops.metric_series (
    series_id integer generated always as identity,
    name text not null,
    labels jsonb not null default '{}',
    constraint metric_series_pkey primary key (series_id),
    constraint metric_series_name_key unique (name, labels),
    constraint metric_series_name_check check (name ~ '^lyceum_[a-z0-9_]+$'),
    constraint metric_series_labels_check check (jsonb_typeof(labels) = 'object')
);
comment on table ops.metric_series is 'What is measured: a name of the catalogue of metrics with its labels.';

create table ops.metrics (
    measured_at timestamptz not null,
    series_id integer not null,
    value double precision not null,
    constraint metrics_pkey primary key (series_id, measured_at),
    constraint metrics_series_fkey foreign key (series_id) references ops.metric_series (series_id)
);
create index metrics_measured_at_idx on ops.metrics using brin (measured_at);
comment on table ops.metrics is 'Measurements of the warehouse and its server, one a series and run of monitor_warehouse.';
comment on column ops.metrics.measured_at is 'Clock of the run that measured.';
comment on column ops.metrics.value is 'In the unit that ends the metric''s name.';

insert into ops.retention_policies (subject, retention, cleanup) values ('ops.metrics', '30 days', 'daily');

-- Monitoring counts the batches of the last day.
create index batches_collected_at_idx on ops.batches (collected_at);

-- migrate:down
