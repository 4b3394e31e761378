-- One row per organization and day: the across-courses rows of the touched learners against the sums of their course rows.
select
    organization_id,
    activity_date,
    (
        sum(event_count) filter (where scope = 'course')
        is distinct from sum(event_count) filter (where scope = 'all_courses')
        or sum(interaction_count) filter (where scope = 'course')
        is distinct from sum(interaction_count) filter (where scope = 'all_courses')
        or sum(attempt_count) filter (where scope = 'course')
        is distinct from sum(attempt_count) filter (where scope = 'all_courses')
        or sum(score_sum) filter (where scope = 'course')
        is distinct from sum(score_sum) filter (where scope = 'all_courses')
        or sum(score_count) filter (where scope = 'course')
        is distinct from sum(score_count) filter (where scope = 'all_courses')
        or sum(contributions) filter (where scope = 'course')
        is distinct from sum(contributions) filter (where scope = 'all_courses')
        or sum(completions) filter (where scope = 'course')
        is distinct from sum(completions) filter (where scope = 'all_courses')
    ) as has_sums_that_disagree,
    -- Minutes, objects and videos of several courses unite: across courses there are never more of them.
    (
        sum(active_minutes) filter (where scope = 'all_courses') > sum(active_minutes) filter (where scope = 'course')
        or sum(resources_viewed) filter (where scope = 'all_courses') > sum(resources_viewed) filter (where scope = 'course')
        or sum(videos_started) filter (where scope = 'all_courses') > sum(videos_started) filter (where scope = 'course')
        or sum(video_seconds_watched) filter (where scope = 'all_courses')
        > sum(video_seconds_watched) filter (where scope = 'course')
    ) as has_more_across_courses_than_in_them
from build.learner_analytics
group by
    organization_id,
    activity_date
