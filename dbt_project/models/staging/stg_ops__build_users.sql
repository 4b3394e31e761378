select
    users.organization_id,
    users.user_id,
    users.told_from,
    users.is_rekeyed
from {{ source('ops', 'build_users') }} as users
inner join {{ source('ops', 'current_build') }} as build
    on users.build_id = build.build_id
