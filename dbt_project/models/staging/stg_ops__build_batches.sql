select
    batches.organization_id,
    batches.batch_id,
    batches.collected_hour
from {{ source('ops', 'build_batches') }} as batches
inner join {{ source('ops', 'current_build') }} as build
    on batches.build_id = build.build_id
