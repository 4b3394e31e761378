-- How far behind the clock each stage of each organization is, and each view.
select
    'lyceum_published_age_seconds' as name,
    jsonb_build_object('organization', organizations.slug) as labels,
    extract(epoch from current_setting('lyceum.as_of')::timestamptz - watermarks.data_as_of)::double precision as value
from ops.organization_watermarks as watermarks
inner join core.organizations as organizations on watermarks.organization_id = organizations.organization_id
where watermarks.data_as_of is not null

union all

select
    'lyceum_pending_hours',
    jsonb_build_object('organization', organizations.slug),
    count(pending.collected_hour)::double precision
from core.organizations as organizations
left join ops.pending_hours as pending on organizations.organization_id = pending.organization_id
group by organizations.slug

union all

select
    'lyceum_oldest_pending_seconds',
    jsonb_build_object('organization', organizations.slug),
    extract(epoch from current_setting('lyceum.as_of')::timestamptz - min(pending.collected_hour))::double precision
from ops.pending_hours as pending
inner join core.organizations as organizations on pending.organization_id = organizations.organization_id
group by organizations.slug

union all

select
    'lyceum_open_weeks',
    jsonb_build_object('organization', organizations.slug),
    count(weeks.week_start)::double precision
from core.organizations as organizations
left join ops.week_states as weeks on organizations.organization_id = weeks.organization_id and weeks.state = 'open'
group by organizations.slug

union all

select
    'lyceum_view_age_seconds',
    jsonb_build_object('view', refreshes.view_name),
    extract(epoch from current_setting('lyceum.as_of')::timestamptz - max(refreshes.as_of))::double precision
from ops.view_refreshes as refreshes
where refreshes.state in ('published', 'unchanged')
group by refreshes.view_name
