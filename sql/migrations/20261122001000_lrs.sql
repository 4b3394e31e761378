-- migrate:up

alter table core.sources add constraint sources_lrs_check check (
    channel <> 'lrs' or (format = 'xapi' and options -> 'lrs' is not null)
);
comment on column core.sources.options is 'What the channel needs to know, by concern: under "lrs" how a Learning Record Store is reached. Never a secret, only the name under which one is found.';

-- How far a Learning Record Store has been pulled. The row holds for the endpoint and the beginning that it names; a source
-- that is pointed elsewhere, or told to begin elsewhere, starts anew.
create table ops.lrs_cursors (
    organization_id bigint not null,
    source_id integer not null,
    endpoint text not null,
    begins_at timestamptz,
    pulled_through timestamptz,
    filters_by text,
    window_seconds bigint not null,
    pulled_at timestamptz not null,
    constraint lrs_cursors_pkey primary key (organization_id, source_id),
    constraint lrs_cursors_source_fkey foreign key (organization_id, source_id)
    references core.sources (organization_id, source_id) on delete cascade,
    constraint lrs_cursors_filters_by_check check (filters_by in ('stored', 'timestamp')),
    constraint lrs_cursors_window_check check (window_seconds > 0)
);
comment on column ops.lrs_cursors.pulled_through is 'Every statement that the store places up to here is in a committed batch; moves only after the batches that hold them. Null: nothing yet.';
comment on column ops.lrs_cursors.filters_by is 'The property by which the store was found to apply since and until: stored as the specification wants, or timestamp. Null: not known yet.';
comment on column ops.lrs_cursors.window_seconds is 'Width of the next window; narrower after a pull that did not finish its window.';
comment on column ops.lrs_cursors.pulled_at is 'Clock of the last pull that moved the cursor.';

-- migrate:down
