-- migrate:up

-- What the pages in Airflow ask: counts, instants and names of tables, never a person. lyceum_monitor reads nothing else.
create schema monitoring authorization lyceum_definer;
comment on schema monitoring is 'Functions that tell how the warehouse does, without a word about a person.';

-- Refusals and changes of rights are rare, and counted by day.
create index audit_logs_refused_idx on audit.audit_logs (occurred_at) where decision <> 'allowed' or source = 'catalog';

-- migrate:down
