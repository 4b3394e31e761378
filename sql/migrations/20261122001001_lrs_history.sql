-- migrate:up

alter table ops.lrs_cursors add column is_history boolean not null default false;
comment on column ops.lrs_cursors.is_history is 'Whether a pull of history has not come to its end yet: whoever pulls next goes on with it as history.';

-- migrate:down
