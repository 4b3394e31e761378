-- migrate:up

-- What the events of one collected hour add to one learner, course and day. Rows of different hours merge in any order:
-- counts and sums add, sets unite, instants take the least or the greatest.
create table stage_two.learner_day_states (
    organization_id bigint not null,
    learner_id bigint not null,
    course_id bigint not null,
    collected_hour timestamptz not null,
    activity_date date not null,
    event_count integer not null,
    activity_count integer not null,
    attempt_count integer not null,
    score_count integer not null,
    contributions integer not null,
    interaction_count bigint not null,
    first_event_at timestamptz not null,
    last_event_at timestamptz not null,
    course_completed_at timestamptz,
    last_registered_at timestamptz,
    last_unregistered_at timestamptz,
    score_sum numeric not null,
    active_minutes int4multirange,
    viewed_object_ids integer[],
    attempted_object_ids integer[],
    passed_object_ids integer[],
    constraint learner_day_states_pkey
    primary key (organization_id, learner_id, course_id, activity_date, collected_hour)
) partition by range (activity_date);

create table stage_two.learner_video_day_states (
    organization_id bigint not null,
    learner_id bigint not null,
    course_id bigint not null,
    collected_hour timestamptz not null,
    object_id integer not null,
    activity_date date not null,
    is_played boolean not null,
    is_completed boolean not null,
    length_seconds numeric,
    watched_segments nummultirange,
    constraint learner_video_day_states_pkey
    primary key (organization_id, learner_id, course_id, object_id, activity_date, collected_hour)
) partition by range (activity_date);

create table stage_two.learner_analytics (
    organization_id bigint not null,
    learner_id bigint not null,
    course_id bigint,
    activity_date date not null,
    scope text not null,
    is_active boolean not null,
    event_count bigint not null,
    interaction_count bigint not null,
    active_minutes bigint,
    session_count bigint,
    time_on_task_seconds bigint,
    first_event_at timestamptz,
    last_event_at timestamptz,
    resources_viewed bigint not null,
    videos_started bigint not null,
    videos_completed bigint not null,
    video_seconds_watched numeric not null,
    assessments_attempted bigint not null,
    assessments_passed bigint not null,
    attempt_count bigint not null,
    score_sum numeric not null,
    score_count bigint not null,
    contributions bigint not null,
    completions bigint not null,
    is_completed boolean,
    completed_at timestamptz,
    is_enrolled boolean,
    enrolled_on date,
    course_completed_at timestamptz,
    last_registered_at timestamptz,
    last_unregistered_at timestamptz,
    constraint learner_analytics_key
    unique nulls not distinct (organization_id, learner_id, course_id, activity_date),
    constraint learner_analytics_scope_check check (scope in ('course', 'all_courses')),
    constraint learner_analytics_course_check check ((course_id is null) = (scope = 'all_courses'))
) partition by range (activity_date);

create table stage_two.trainer_analytics (
    organization_id bigint not null,
    trainer_id bigint not null,
    course_id bigint not null,
    activity_date date not null,
    learners_assigned bigint not null,
    learners_active bigint not null,
    activity_rate numeric,
    learners_at_risk bigint not null,
    completions bigint not null,
    score_sum numeric not null,
    score_count bigint not null,
    score_mean numeric,
    time_on_task_seconds bigint,
    time_on_task_seconds_per_active_learner numeric,
    contributions bigint not null,
    attempts_reviewed bigint not null,
    constraint trainer_analytics_pkey primary key (organization_id, trainer_id, course_id, activity_date)
) partition by range (activity_date);

create table stage_two.organization_analytics (
    organization_id bigint not null,
    activity_date date not null,
    learners_active bigint not null,
    trainers_active bigint not null,
    courses_active bigint not null,
    event_count bigint not null,
    interaction_count bigint not null,
    attempt_count bigint not null,
    time_on_task_seconds bigint,
    enrollments_open bigint not null,
    enrollments_new bigint not null,
    enrollments_completed bigint not null,
    completions bigint not null,
    completion_rate numeric,
    learners_at_risk bigint not null,
    score_sum numeric not null,
    score_count bigint not null,
    score_mean numeric,
    weekly_active_learners bigint not null,
    monthly_active_learners bigint not null,
    stickiness numeric,
    constraint organization_analytics_pkey primary key (organization_id, activity_date)
) partition by range (activity_date);

-- migrate:down
