"""Move what merged users did, on days that may still change, to the user that stays.

A build does it as it begins: while the models of another one run, the rows that it is made of must stay where they are.
"""

from __future__ import annotations

import logging

from lyceum.database import Connection, ConnectionTarget, connect

_log = logging.getLogger(__name__)

_LEARNER_STATES = """
    with

    moved as (
        delete from stage_two.learner_day_states as states
        where
            states.organization_id = %(organization)s
            and states.activity_date >= (select min(rekeyed_from) from merged_users)
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
    left join merged_users
        on moved.learner_id = merged_users.merged_user_id and moved.activity_date >= merged_users.rekeyed_from
    group by 1, 2, 3, 4, 5
"""

_VIDEO_STATES = """
    with

    moved as (
        delete from stage_two.learner_video_day_states as states
        where
            states.organization_id = %(organization)s
            and states.activity_date >= (select min(rekeyed_from) from merged_users)
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
    left join merged_users
        on moved.learner_id = merged_users.merged_user_id and moved.activity_date >= merged_users.rekeyed_from
    group by 1, 2, 3, 4, 5, 6
"""

_TRAINER_STATES = """
    with

    moved as (
        delete from stage_two.trainer_day_states as states
        where
            states.organization_id = %(organization)s
            and states.activity_date >= (select min(rekeyed_from) from merged_users)
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
    left join merged_users
        on moved.trainer_id = merged_users.merged_user_id and moved.activity_date >= merged_users.rekeyed_from
    group by 1, 2, 3, 4, 5
"""

_RAW_ROWS = (
    """
    update stage_one.raw_data_collection as events
    set learner_id = merged_users.user_id
    from merged_users
    where
        events.organization_id = %(organization)s
        and events.activity_date >= merged_users.rekeyed_from
        and events.learner_id = merged_users.merged_user_id
    """,
    """
    update stage_one.raw_data_collection as events
    set trainer_id = merged_users.user_id
    from merged_users
    where
        events.organization_id = %(organization)s
        and events.activity_date >= merged_users.rekeyed_from
        and events.trainer_id = merged_users.merged_user_id
    """,
)


def rekey_merged_users(target: ConnectionTarget) -> int:
    """Move the rows of every user that a roster has merged since the last build; return how many users that were.

    Hold `build_lock`. Each organization is a transaction of its own, under the lock that its batches take.
    """
    moved = 0
    with connect(target, application_name="lyceum roster") as connection:
        waiting = connection.execute(
            "select distinct organization_id from ops.user_merges where not is_rekeyed order by organization_id"
        ).fetchall()
        for (organization_id,) in waiting:
            with connection.transaction():
                connection.execute(
                    "select pg_advisory_xact_lock(hashtext('lyceum.organization'), %s::int)", [organization_id]
                )
                count = _rekey(connection, organization_id)
            connection.commit()
            moved += count
            _log.info("users merged", extra={"organization_id": organization_id, "users": count})
    return moved


def _rekey(connection: Connection, organization_id: int) -> int:
    values = {"organization": organization_id}
    connection.execute("drop table if exists merged_users")
    connection.execute(
        """
        create temporary table merged_users on commit drop as
        select
            merged_user_id,
            user_id,
            rekeyed_from
        from ops.user_merges
        where organization_id = %(organization)s and not is_rekeyed
        """,
        values,
    )
    for statement in (*_RAW_ROWS, _LEARNER_STATES, _VIDEO_STATES, _TRAINER_STATES):
        connection.execute(statement, values)
    return connection.execute(
        "update ops.user_merges set is_rekeyed = true where organization_id = %(organization)s and not is_rekeyed",
        values,
    ).rowcount
