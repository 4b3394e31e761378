"""Move what merged users did, on days that may still change, to the user that stays."""

from __future__ import annotations

from datetime import date

from lyceum.database import Connection

_LEARNER_STATES = """
    with

    moved as (
        delete from stage_two.learner_day_states as states
        where
            states.organization_id = %(organization)s
            and states.activity_date >= %(tells_from)s
            and states.learner_id in (select merged_user_id from merged_users union select user_id from merged_users)
        returning states.*
    )

    insert into stage_two.learner_day_states (
        organization_id, learner_id, course_id, collected_hour, activity_date,
        event_count, activity_count, attempt_count, score_count, contributions, interaction_count,
        first_event_at, last_event_at, course_completed_at, last_registered_at, last_unregistered_at, score_sum,
        active_minutes, viewed_object_ids, attempted_object_ids, passed_object_ids
    )
    select
        moved.organization_id,
        coalesce(merged_users.user_id, moved.learner_id),
        moved.course_id,
        moved.collected_hour,
        moved.activity_date,
        sum(moved.event_count),
        sum(moved.activity_count),
        sum(moved.attempt_count),
        sum(moved.score_count),
        sum(moved.contributions),
        sum(moved.interaction_count),
        min(moved.first_event_at),
        max(moved.last_event_at),
        min(moved.course_completed_at),
        max(moved.last_registered_at),
        max(moved.last_unregistered_at),
        sum(moved.score_sum),
        range_agg(moved.active_minutes),
        stage_two.object_union(moved.viewed_object_ids),
        stage_two.object_union(moved.attempted_object_ids),
        stage_two.object_union(moved.passed_object_ids)
    from moved
    left join merged_users on moved.learner_id = merged_users.merged_user_id
    group by 1, 2, 3, 4, 5
"""

_VIDEO_STATES = """
    with

    moved as (
        delete from stage_two.learner_video_day_states as states
        where
            states.organization_id = %(organization)s
            and states.activity_date >= %(tells_from)s
            and states.learner_id in (select merged_user_id from merged_users union select user_id from merged_users)
        returning states.*
    )

    insert into stage_two.learner_video_day_states (
        organization_id, learner_id, course_id, collected_hour, object_id, activity_date,
        is_played, is_completed, length_seconds, watched_segments
    )
    select
        moved.organization_id,
        coalesce(merged_users.user_id, moved.learner_id),
        moved.course_id,
        moved.collected_hour,
        moved.object_id,
        moved.activity_date,
        bool_or(moved.is_played),
        bool_or(moved.is_completed),
        max(moved.length_seconds),
        range_agg(moved.watched_segments)
    from moved
    left join merged_users on moved.learner_id = merged_users.merged_user_id
    group by 1, 2, 3, 4, 5, 6
"""

_TRAINER_STATES = """
    with

    moved as (
        delete from stage_two.trainer_day_states as states
        where
            states.organization_id = %(organization)s
            and states.activity_date >= %(tells_from)s
            and states.trainer_id in (select merged_user_id from merged_users union select user_id from merged_users)
        returning states.*
    )

    insert into stage_two.trainer_day_states (
        organization_id, trainer_id, course_id, collected_hour, activity_date, attempts_reviewed
    )
    select
        moved.organization_id,
        coalesce(merged_users.user_id, moved.trainer_id),
        moved.course_id,
        moved.collected_hour,
        moved.activity_date,
        sum(moved.attempts_reviewed)
    from moved
    left join merged_users on moved.trainer_id = merged_users.merged_user_id
    group by 1, 2, 3, 4, 5
"""

_RAW_ROWS = (
    """
    update stage_one.raw_data_collection as events
    set learner_id = merged_users.user_id
    from merged_users
    where
        events.organization_id = %(organization)s
        and events.activity_date >= %(tells_from)s
        and events.learner_id = merged_users.merged_user_id
    """,
    """
    update stage_one.raw_data_collection as events
    set trainer_id = merged_users.user_id
    from merged_users
    where
        events.organization_id = %(organization)s
        and events.activity_date >= %(tells_from)s
        and events.trainer_id = merged_users.merged_user_id
    """,
)


def rekey(connection: Connection, organization_id: int, tells_from: date) -> None:
    """Move raw rows and states of the `merged_users` from `tells_from` on; where both have a state, the two are merged."""
    values = {"organization": organization_id, "tells_from": tells_from}
    for statement in (*_RAW_ROWS, _LEARNER_STATES, _VIDEO_STATES, _TRAINER_STATES):
        connection.execute(statement, values)
