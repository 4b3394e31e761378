select
    organization_id,
    week_start
from {{ source('ops', 'week_states') }}
where state = 'sealed'
