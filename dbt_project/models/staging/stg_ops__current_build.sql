select
    build_id,
    as_of
from {{ source('ops', 'current_build') }}
