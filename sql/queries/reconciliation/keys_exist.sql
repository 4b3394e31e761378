-- Anti-joins in place of foreign keys, which the partitioned tables must not have: every learner, course, object, verb and
-- trainer that the build's rows name exists in the same organization.
select
    candidates.organization_id,
    'learner' as kind,
    candidates.learner_id as identifier,
    people.user_id is null as is_mismatch
from build.int_build__learners as candidates
left join core.users as people
    on
        candidates.organization_id = people.organization_id
        and candidates.learner_id = people.user_id

union all

select
    candidates.organization_id,
    'course' as kind,
    candidates.course_id as identifier,
    courses.course_id is null as is_mismatch
from (
    select distinct
        organization_id,
        course_id
    from build.int_learner_day__states
) as candidates
left join core.courses as courses
    on
        candidates.organization_id = courses.organization_id
        and candidates.course_id = courses.course_id

union all

select
    raw_rows.organization_id,
    'verb' as kind,
    raw_rows.verb_id as identifier,
    verbs.verb_id is null as is_mismatch
from (
    select distinct
        organization_id,
        verb_id
    from build.audited_raw_rows
) as raw_rows
left join core.verbs as verbs
    on
        raw_rows.organization_id = verbs.organization_id
        and raw_rows.verb_id = verbs.verb_id

union all

select
    organization_id,
    'object or trainer of a raw row of the batch' as kind,
    batch_id as identifier,
    bool_or(rows_of_unknown_objects > 0 or rows_of_unknown_trainers > 0) as is_mismatch
from build.audited_raw_rows
group by
    organization_id,
    batch_id
