-- migrate:up

-- The audit trail. What belongs to lyceum_definer is changed by the functions of sql/repeatable/audit alone.
create schema audit authorization lyceum_definer;
comment on schema audit is 'Who did what: append-only rows, sealed into a chain of batches.';
grant usage on schema audit to lyceum_owner, lyceum_authenticator;
-- A new owner must be able to create in the schema, unless a superuser hands over.
grant create on schema audit to lyceum_owner;

create sequence audit.audit_ids;
alter sequence audit.audit_ids owner to lyceum_owner;
grant usage on sequence audit.audit_ids to lyceum_definer;

create table audit.audit_logs (
    audit_id bigint not null default nextval('audit.audit_ids'),
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    organization_id bigint,
    actor_login text,
    actor_user_id bigint,
    actor_role text,
    action text not null,
    resource text not null,
    row_count bigint,
    decision text not null,
    request_id text,
    source text not null,
    session_id text,
    line_number bigint,
    detail jsonb not null default '{}',
    server_id bigint not null,
    transaction_id xid8 not null default pg_current_xact_id(),
    nonce uuid not null default gen_random_uuid(),
    constraint audit_logs_pkey primary key (occurred_at, audit_id),
    constraint audit_logs_line_key unique (session_id, line_number, occurred_at),
    constraint audit_logs_action_check check (action ~ '^[a-z][a-z0-9_]{0,62}$'),
    constraint audit_logs_resource_check check (resource <> '' and length(resource) <= 256),
    constraint audit_logs_row_count_check check (row_count >= 0),
    constraint audit_logs_decision_check check (decision in ('allowed', 'denied', 'failed')),
    constraint audit_logs_source_check check (source in ('service', 'server_log', 'pgaudit', 'catalog', 'collector')),
    constraint audit_logs_line_check check ((session_id is null) = (line_number is null)),
    constraint audit_logs_detail_check check (jsonb_typeof(detail) = 'object' and length(detail::text) <= 4096)
) partition by range (occurred_at);
create index audit_logs_chain_idx on audit.audit_logs (server_id, transaction_id, audit_id);
create index audit_logs_organization_idx on audit.audit_logs (organization_id, occurred_at);
create index audit_logs_gaps_idx on audit.audit_logs (audit_id) where action in ('gap', 'gaps_acknowledged');
comment on table audit.audit_logs is 'One row per audited access or change. Append-only; people are ids here, never names.';
comment on column audit.audit_logs.organization_id is 'Null: about the whole server, or nobody could tell.';
comment on column audit.audit_logs.recorded_at is 'When the row was written; a collected row occurred earlier.';
comment on column audit.audit_logs.line_number is 'With session_id the line of the server''s log that the row was collected from.';
comment on column audit.audit_logs.server_id is 'The server''s system identifier: transaction ids are comparable on one server only.';
comment on column audit.audit_logs.transaction_id is 'The transaction that wrote the row. A batch of the chain is a range of them.';
comment on column audit.audit_logs.nonce is 'Makes the hash of a withheld row tell nothing about the row.';
alter table audit.audit_logs owner to lyceum_owner;
alter table audit.audit_logs enable row level security, force row level security;
-- Not even whose table it is; INSERT goes through audit.record and audit.record_collected.
revoke insert, update, delete, truncate on audit.audit_logs from lyceum_owner;
grant select, insert on audit.audit_logs to lyceum_definer;

insert into ops.partition_policies (parent_table, granularity, create_ahead, hash_modulus, retention) values
('audit.audit_logs', 'month', 3, 1, '10 years');

create table audit.batches (
    batch_id bigint not null,
    server_id bigint not null,
    from_transaction xid8 not null,
    to_transaction xid8 not null,
    first_audit_id bigint not null,
    last_audit_id bigint not null,
    row_count bigint not null,
    first_occurred_at timestamptz not null,
    last_occurred_at timestamptz not null,
    rows_hash bytea not null,
    contents_hash bytea not null,
    sealed_at timestamptz not null,
    previous_hash bytea not null,
    hash bytea not null,
    constraint batches_pkey primary key (batch_id),
    constraint batches_previous_hash_key unique (previous_hash),
    constraint batches_row_count_check check (row_count > 0),
    constraint batches_transactions_check check (from_transaction < to_transaction)
);
comment on table audit.batches is 'The chain: each batch is the rows of a range of transactions, hashed together with the batch before.';
comment on column audit.batches.to_transaction is 'Exclusive. Every transaction below had ended when the batch was sealed.';
comment on column audit.batches.rows_hash is 'SHA-256 over the SHA-256 of each row in canonical form, in the order of transaction and id.';
comment on column audit.batches.contents_hash is 'The same without ids and instants, in the order of the hashes: it tells an edit from a change of order.';
alter table audit.batches owner to lyceum_definer;
grant select on audit.batches to lyceum_owner;

create table audit.chain (
    is_only boolean not null default true,
    chain_id uuid not null default gen_random_uuid(),
    constraint chain_pkey primary key (is_only),
    constraint chain_is_only_check check (is_only)
);
insert into audit.chain default values;
comment on table audit.chain is 'The name of this chain: the heads kept outside the database carry it, and the first batch begins with its hash.';
alter table audit.chain owner to lyceum_definer;
grant select on audit.chain to lyceum_owner;

create table audit.log_files (
    head_hash bytea not null,
    file_name text not null,
    read_bytes bigint not null,
    first_line_at timestamptz not null,
    completed_at timestamptz,
    lost_at timestamptz,
    constraint log_files_pkey primary key (head_hash),
    constraint log_files_read_bytes_check check (read_bytes >= 0)
);
comment on table audit.log_files is 'How far each file of the server''s log was collected. A file is known by its first line, whatever it is called.';
comment on column audit.log_files.completed_at is 'When it had been read to its end and a later file existed.';
comment on column audit.log_files.lost_at is 'When it was found missing or cut before it had been read to its end.';
alter table audit.log_files owner to lyceum_owner;

create table audit.log_sessions (
    session_id text not null,
    last_line_number bigint not null,
    begun_at timestamptz not null,
    constraint log_sessions_pkey primary key (session_id)
);
comment on table audit.log_sessions is 'The last line seen of each living session: the server numbers a session''s lines without gaps.';
alter table audit.log_sessions owner to lyceum_owner;

create table audit.known_rights (
    kind text not null,
    name text not null,
    state text not null,
    constraint known_rights_pkey primary key (kind, name)
);
comment on table audit.known_rights is 'Roles, memberships and grants as the last comparison with the catalogue found them.';
alter table audit.known_rights owner to lyceum_owner;

create function audit.server_id()
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select system_identifier from pg_control_system();
$$;
alter function audit.server_id() owner to lyceum_definer;
revoke all on function audit.server_id() from public;
grant execute on function audit.server_id() to lyceum_owner;

create function audit.refuse_change()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception using
        errcode = 'insufficient_privilege',
        message = format('%s of %I.%I is refused: the audit trail is append-only.', tg_op, tg_table_schema, tg_table_name),
        hint = 'Whole months leave the trail when their retention is over. Write a new row that corrects an old one.';
end;
$$;
alter function audit.refuse_change() owner to lyceum_definer;
revoke all on function audit.refuse_change() from public;
-- Whoever attaches a partition makes its trigger: the pipeline, which is a member of the owner.
grant execute on function audit.refuse_change() to lyceum_owner;

-- For each row, because that trigger reaches the partitions; for each statement, because TRUNCATE has no rows.
create trigger refuse_change before update or delete on audit.audit_logs
for each row execute function audit.refuse_change();
create trigger refuse_statement before update or delete or truncate on audit.audit_logs
for each statement execute function audit.refuse_change();
create trigger refuse_statement before update or delete or truncate on audit.batches
for each statement execute function audit.refuse_change();
create trigger refuse_statement before update or delete or truncate on audit.chain
for each statement execute function audit.refuse_change();

revoke create on schema audit from lyceum_owner;

-- migrate:down
