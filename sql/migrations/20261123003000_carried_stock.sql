-- migrate:up

-- When a year of stage three has gone, what is told of later days still follows from it. Everything else that is needed for that is
-- in the row already.
alter table stage_three.learner_courses
add column ending_days date[] not null default '{}',
add column registration_days date[] not null default '{}';
comment on column stage_three.learner_courses.ending_days is 'Days whose last word was that the learner left the course.';
comment on column stage_three.learner_courses.registration_days is 'Days whose last word was that the learner registered.';

update stage_three.learner_courses as told
set ending_days = marked.ending_days, registration_days = marked.registration_days
from (
    select
        organization_id,
        subject_id,
        course_id,
        coalesce(array_agg(period_start order by period_start) filter (
            where last_unregistered_at is not null and coalesce(last_registered_at <= last_unregistered_at, true)
        ), '{}') as ending_days,
        coalesce(array_agg(period_start order by period_start) filter (
            where last_registered_at is not null and coalesce(last_registered_at > last_unregistered_at, true)
        ), '{}') as registration_days
    from stage_three.aggregated_analytics
    where
        subject_type = 'learner'
        and period_type = 'day'
        and scope = 'course'
        and (last_registered_at is not null or last_unregistered_at is not null)
    group by organization_id, subject_id, course_id
) as marked
where
    told.organization_id = marked.organization_id
    and told.learner_id = marked.subject_id
    and told.course_id = marked.course_id;

-- migrate:down
