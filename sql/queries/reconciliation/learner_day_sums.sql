-- One row per organization, day and scope: what the candidate learner rows add up to. The only scan of them; the checks read
-- its result as build.audited_learner_days. `fingerprint` weighs each learner and course differently, so that rows which swap
-- their numbers do not hide behind an equal sum.
select
    organization_id,
    activity_date,
    scope,
    sum(event_count) as event_count,
    sum(interaction_count) as interaction_count,
    sum(attempt_count) as attempt_count,
    sum(score_count) as score_count,
    sum(score_sum) as score_sum,
    sum(contributions) as contributions,
    sum(completions) as completions,
    sum(active_minutes) as active_minutes,
    sum(time_on_task_seconds) as time_on_task_seconds,
    sum(resources_viewed) as resources_viewed,
    sum(videos_started) as videos_started,
    sum(video_seconds_watched) as video_seconds_watched,
    count(*) filter (where is_active) as active_rows,
    sum(event_count * (mod(learner_id * 31 + coalesce(course_id, 0), 1009) + 1)) as fingerprint
from build.learner_analytics
group by
    organization_id,
    activity_date,
    scope
