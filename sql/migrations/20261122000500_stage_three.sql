-- migrate:up

create table stage_three.aggregated_analytics (
    organization_id bigint not null,
    subject_id bigint not null,
    course_id bigint,
    period_start date not null,
    subject_type text not null,
    period_type text not null,
    scope text not null,
    is_active boolean,
    active_days bigint,
    event_count bigint,
    interaction_count bigint,
    active_minutes bigint,
    session_count bigint,
    time_on_task_seconds bigint,
    first_event_at timestamptz,
    last_event_at timestamptz,
    resources_viewed bigint,
    videos_started bigint,
    videos_completed bigint,
    video_seconds_watched numeric,
    assessments_attempted bigint,
    assessments_passed bigint,
    attempt_count bigint,
    score_sum numeric,
    score_count bigint,
    contributions bigint,
    completions bigint,
    is_completed boolean,
    completed_at timestamptz,
    is_enrolled boolean,
    enrolled_on date,
    is_at_risk boolean,
    course_completed_at timestamptz,
    last_registered_at timestamptz,
    last_unregistered_at timestamptz,
    score_mean numeric,
    learners_active bigint,
    trainers_active bigint,
    courses_active bigint,
    enrollments_open bigint,
    enrollments_new bigint,
    enrollments_completed bigint,
    completion_rate numeric,
    learners_at_risk bigint,
    weekly_active_learners bigint,
    monthly_active_learners bigint,
    stickiness numeric,
    cohort_size bigint,
    retained_1 numeric,
    retained_2 numeric,
    retained_4 numeric,
    retained_8 numeric,
    learners_assigned bigint,
    activity_rate numeric,
    time_on_task_seconds_per_active_learner numeric,
    attempts_reviewed bigint,
    constraint aggregated_analytics_key
    unique nulls not distinct (organization_id, subject_type, subject_id, course_id, period_type, period_start),
    constraint aggregated_analytics_subject_check check (subject_type in ('learner', 'trainer', 'organization')),
    constraint aggregated_analytics_period_check check (period_type in ('day', 'week', 'month', 'year')),
    constraint aggregated_analytics_scope_check check (scope in ('course', 'all_courses')),
    constraint aggregated_analytics_course_check check ((course_id is null) = (scope = 'all_courses'))
) partition by range (period_start);
create index aggregated_analytics_period_idx
on stage_three.aggregated_analytics (organization_id, period_type, period_start, subject_type);

create table stage_three.learner_courses (
    organization_id bigint not null,
    learner_id bigint not null,
    course_id bigint not null,
    first_event_on date not null,
    last_event_on date not null,
    first_active_on date,
    last_active_on date,
    completed_on date,
    completed_at timestamptz,
    enrolled_days datemultirange not null,
    at_risk_days datemultirange not null,
    constraint learner_courses_pkey primary key (organization_id, learner_id, course_id)
);
comment on table stage_three.learner_courses is 'One row per learner and course: what the stock columns of every day follow from.';
comment on column stage_three.learner_courses.enrolled_days is 'Days on which the learner is enrolled, future days without further events included.';
comment on column stage_three.learner_courses.at_risk_days is 'Days on which the learner is at risk, future days without further events included.';

-- migrate:down
