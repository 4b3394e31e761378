-- What: no learner id occurs in two organizations.
-- When it matters: always; a shared id would be a row that crossed from one tenant to another.
-- How to resolve: stop publishing, find the source whose rows carry the foreign id, and restore the organization from its archives.
select learner_id
from {{ ref('learner_analytics') }}
group by learner_id
having count(distinct organization_id) > 1
