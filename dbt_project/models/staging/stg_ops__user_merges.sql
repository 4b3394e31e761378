select
    organization_id,
    merged_user_id,
    user_id,
    rekeyed_from
from {{ source('ops', 'user_merges') }}
where is_rekeyed
