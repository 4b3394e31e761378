-- The organizations that the running refreshes of the views tell anew, with the day on which their windows end.
select
    view_name,
    organization_id,
    window_ends_on,
    data_as_of
from {{ source('views', 'view_scope') }}
