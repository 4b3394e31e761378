-- Grain: one row. The first day of which no year of stage three has gone; null while none has. A year that was restored is back.
select max(archives.period_upper) as first_kept_day
from {{ source('ops', 'partition_archives') }} as archives
where
    archives.table_name = 'stage_three.aggregated_analytics'
    and not exists (
        select 1
        from pg_catalog.pg_inherits as attached
        where attached.inhrelid::bigint = archives.relation_id
    )
