-- Refuses every change of what is written. Made by the migration, kept here.
create or replace function audit.refuse_change()
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
