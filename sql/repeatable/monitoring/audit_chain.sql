-- How the chain of the audit trail stands. `broken_links` are those of the last 10,000 batches that do not follow on the one
-- before; whether the rows are what was sealed is asked by `lyceum audit verify`.
drop function if exists monitoring.audit_chain();
create function monitoring.audit_chain()
returns table (
    chain_id text,
    last_batch_id bigint,
    last_hash text,
    last_sealed_at timestamptz,
    broken_links bigint,
    unsealed_rows bigint,
    oldest_unsealed_at timestamptz,
    gaps bigint,
    open_gaps bigint
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    with

    newest as (

        select
            batches.batch_id,
            batches.hash,
            batches.sealed_at,
            batches.server_id,
            batches.to_transaction
        from audit.batches as batches
        order by batches.batch_id desc
        limit 1

    ),

    links as (

        select
            recent.batch_id,
            recent.previous_hash,
            lag(recent.batch_id) over (order by recent.batch_id) as before_id,
            lag(recent.hash) over (order by recent.batch_id) as before_hash
        from (
            select
                batches.batch_id,
                batches.previous_hash,
                batches.hash
            from audit.batches as batches
            order by batches.batch_id desc
            limit 10000
        ) as recent

    ),

    gaps as (

        select
            count(*) filter (where logs.action = 'gap') as found,
            count(*) filter (where logs.action = 'gap' and logs.audit_id > coalesce(known.audit_id, 0)) as open
        from audit.audit_logs as logs
        cross join (
            select max(acknowledged.audit_id) as audit_id
            from audit.audit_logs as acknowledged
            where acknowledged.action = 'gaps_acknowledged'
        ) as known
        where logs.action in ('gap', 'gaps_acknowledged')

    ),

    unsealed as (

        select
            count(*) as found,
            min(logs.recorded_at) as oldest
        from audit.audit_logs as logs
        where
            logs.server_id = (select audit.server_id())
            and logs.transaction_id >= coalesce(
                (select newest.to_transaction from newest where newest.server_id = audit.server_id()), '0'::xid8
            )

    )

    select
        (select chain.chain_id::text from audit.chain as chain),
        newest.batch_id,
        encode(newest.hash, 'hex'),
        newest.sealed_at,
        (
            select count(*)
            from links
            where
                links.before_id is not null
                and (links.batch_id <> links.before_id + 1 or links.previous_hash <> links.before_hash)
        ),
        unsealed.found,
        unsealed.oldest,
        gaps.found,
        gaps.open
    from gaps
    cross join unsealed
    left join newest on true;
$$;
alter function monitoring.audit_chain() owner to lyceum_definer;
revoke all on function monitoring.audit_chain() from public;
grant execute on function monitoring.audit_chain() to lyceum_monitor, lyceum_owner;
