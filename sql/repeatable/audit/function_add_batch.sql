-- Adds the next batch to the chain. Refuses one that does not follow the last.
create or replace function audit.add_batch(batch audit.batches)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    last audit.batches;
begin
    select batches.*
    into last
    from audit.batches as batches
    order by batches.batch_id desc
    limit 1;
    if
        batch.batch_id is distinct from coalesce(last.batch_id, 0) + 1
        or (last.batch_id is not null and batch.previous_hash is distinct from last.hash)
        or (last.server_id = batch.server_id and batch.from_transaction is distinct from last.to_transaction)
    then
        raise exception 'Batch % does not follow the last one of the chain, %.', batch.batch_id, coalesce(last.batch_id, 0);
    end if;
    insert into audit.batches values (batch.*);
end;
$$;
alter function audit.add_batch(audit.batches) owner to lyceum_definer;
revoke all on function audit.add_batch(audit.batches) from public;
grant execute on function audit.add_batch(audit.batches) to lyceum_owner;
