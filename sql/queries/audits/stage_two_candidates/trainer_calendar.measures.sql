-- One row per organization with closed days to tell and a trainer: how many days that a trainer teaches have no row.
select
    dirty_days.organization_id,
    count(*) filter (where candidates.organization_id is null) as days_missing
from build.int_organization__dirty_days as dirty_days
inner join build.int_build__enrollment_days as teaching
    on
        dirty_days.organization_id = teaching.organization_id
        and teaching.role = 'trainer'
        and teaching.days @> dirty_days.activity_date
left join build.trainer_analytics as candidates
    on
        dirty_days.organization_id = candidates.organization_id
        and teaching.user_id = candidates.trainer_id
        and teaching.course_id = candidates.course_id
        and dirty_days.activity_date = candidates.activity_date
group by dirty_days.organization_id
