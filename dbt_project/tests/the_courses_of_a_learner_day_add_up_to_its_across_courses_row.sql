-- What: what is counted per course is counted once across courses; minutes, objects and segments unite and are left out here.
-- When it matters: a sum over one scope must give what the other scope says, or dashboards disagree with each other.
-- How to resolve: compare both scopes of the learner and day with their states; the rows of one scope are lost or doubled.
with

sums as (

    select
        organization_id,
        learner_id,
        activity_date,
        scope,
        sum(event_count) as event_count,
        sum(interaction_count) as interaction_count,
        sum(attempt_count) as attempt_count,
        sum(score_sum) as score_sum,
        sum(score_count) as score_count,
        sum(contributions) as contributions,
        sum(completions) as completions
    from {{ ref('learner_analytics') }}
    group by organization_id, learner_id, activity_date, scope

)

select
    organization_id,
    learner_id,
    activity_date
from sums
group by organization_id, learner_id, activity_date
having
    count(*) <> 2
    or count(distinct (event_count, interaction_count, attempt_count, score_sum, score_count, contributions, completions)) <> 1
