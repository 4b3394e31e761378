-- Each verb of an organization with its event kind; a verb that the seed does not name is `other`.
select
    verbs.organization_id,
    verbs.verb_id,
    flags.event_kind,
    flags.is_activity,
    flags.is_interaction,
    flags.is_view,
    flags.is_attempt,
    flags.is_outcome
from {{ source('core', 'verbs') }} as verbs
left join {{ ref('event_kinds') }} as kinds
    on verbs.iri = kinds.verb_iri
inner join {{ ref('event_kind_flags') }} as flags
    on flags.event_kind = coalesce(kinds.event_kind, 'other')
