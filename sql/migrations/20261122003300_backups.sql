-- migrate:up

-- What was done about backups of the server. It is about the running system, so its instants are the server's clock. A row
-- without an end is work that goes on, or that died.
create table ops.backup_runs (
    run_id uuid not null,
    kind text not null,
    backup text,
    begun_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    is_success boolean,
    byte_length bigint,
    detail jsonb not null default '{}',
    constraint backup_runs_pkey primary key (run_id),
    constraint backup_runs_kind_check check (kind in ('backup', 'prune', 'drill')),
    constraint backup_runs_ended_check check ((ended_at is null) = (is_success is null))
);
create index backup_runs_begun_at on ops.backup_runs (begun_at);
comment on table ops.backup_runs is 'Backups, prunings and restore drills of the server, a row each from before the work begins.';
comment on column ops.backup_runs.backup is 'The base backup that was made or restored, by its name in the backup folder.';
comment on column ops.backup_runs.byte_length is 'Bytes on the disk: of the base backup that was made, or of all that was removed.';

-- migrate:down
