select
    organization_id,
    user_id as trainer_id
from {{ source('core', 'users') }}
where role = 'trainer'
