-- migrate:up

-- The rows that the materialized views select: what passed its audits, and nothing else. Only a refresh writes here, in the
-- transaction that refreshes the view. dbt drops and creates its candidates, so a view cannot stand on them itself.
create schema audited;
comment on schema audited is 'Audited rows from which the materialized views are refreshed. No reader uses this schema.';

-- One row per refresh of a view. At most one of a view runs.
create table ops.view_refreshes (
    refresh_id bigint generated always as identity,
    view_name text not null,
    as_of timestamptz not null,
    run_id text not null,
    state text not null,
    definition text not null,
    rows_removed bigint,
    rows_added bigint,
    failure text,
    constraint view_refreshes_pkey primary key (refresh_id),
    constraint view_refreshes_state_check check (
        state in ('running', 'published', 'unchanged', 'failed', 'abandoned')
    )
);
create unique index view_refreshes_running_key on ops.view_refreshes (view_name) where state = 'running';
comment on column ops.view_refreshes.definition is 'SHA-256 of the models and thresholds that made the candidate.';

-- The organizations that a refresh tells anew, and the published version that it read.
create table ops.view_refresh_organizations (
    organization_id bigint not null,
    refresh_id bigint not null,
    data_version bigint not null,
    window_ends_on date not null,
    data_as_of timestamptz not null,
    constraint view_refresh_organizations_pkey primary key (organization_id, refresh_id),
    constraint view_refresh_organizations_refresh_fkey foreign key (refresh_id) references ops.view_refreshes (refresh_id)
);
create index view_refresh_organizations_refresh_idx on ops.view_refresh_organizations (refresh_id);

-- The history of what each view has shown of each organization; the greatest version is what it shows now.
create table ops.view_versions (
    organization_id bigint not null,
    view_name text not null,
    version bigint not null,
    refresh_id bigint not null,
    data_version bigint not null,
    definition text not null,
    window_ends_on date not null,
    data_as_of timestamptz not null,
    row_count bigint not null,
    constraint view_versions_pkey primary key (organization_id, view_name, version),
    constraint view_versions_refresh_fkey foreign key (refresh_id) references ops.view_refreshes (refresh_id)
);
comment on column ops.view_versions.data_version is 'The published version of the organization that the view''s rows were told from.';

create table ops.view_expectation_results (
    refresh_id bigint not null,
    expectation text not null,
    severity text not null,
    is_success boolean not null,
    observed jsonb not null,
    constraint view_expectation_results_pkey primary key (refresh_id, expectation),
    constraint view_expectation_results_severity_check check (severity in ('critical', 'warning', 'info')),
    constraint view_expectation_results_refresh_fkey foreign key (refresh_id) references ops.view_refreshes (refresh_id)
);

create table ops.view_reconciliation_results (
    organization_id bigint not null,
    refresh_id bigint not null,
    check_name text not null,
    keys_checked bigint not null,
    mismatches bigint not null,
    sample jsonb not null,
    constraint view_reconciliation_results_pkey primary key (organization_id, refresh_id, check_name),
    constraint view_reconciliation_results_refresh_fkey foreign key (refresh_id) references ops.view_refreshes (refresh_id)
);
comment on column ops.view_reconciliation_results.sample is 'Up to 20 keys that disagree, with both values. Keys are pseudonymous ids.';

-- The scope of the running refreshes: candidates are told for what this view names.
create view ops.view_scope with (security_invoker = true) as
select
    refreshes.view_name,
    refreshes.refresh_id,
    refreshes.as_of,
    organizations.organization_id,
    organizations.data_version,
    organizations.window_ends_on,
    organizations.data_as_of
from ops.view_refreshes as refreshes
inner join ops.view_refresh_organizations as organizations
    on refreshes.refresh_id = organizations.refresh_id
where refreshes.state = 'running';

create table audited.learner_analytics_summary (
    organization_id bigint not null,
    learner_id bigint not null,
    course_id bigint not null,
    weekly_active_days bigint not null,
    weekly_event_count bigint not null,
    weekly_interaction_count bigint not null,
    weekly_active_minutes bigint,
    weekly_session_count bigint,
    weekly_time_on_task_seconds bigint,
    weekly_resources_viewed bigint not null,
    weekly_videos_started bigint not null,
    weekly_videos_completed bigint not null,
    weekly_video_seconds_watched numeric not null,
    weekly_assessments_attempted bigint not null,
    weekly_assessments_passed bigint not null,
    weekly_attempt_count bigint not null,
    weekly_score_sum numeric not null,
    weekly_score_count bigint not null,
    weekly_score_mean numeric,
    weekly_contributions bigint not null,
    weekly_completions bigint not null,
    monthly_active_days bigint not null,
    monthly_event_count bigint not null,
    monthly_interaction_count bigint not null,
    monthly_active_minutes bigint,
    monthly_session_count bigint,
    monthly_time_on_task_seconds bigint,
    monthly_resources_viewed bigint not null,
    monthly_videos_started bigint not null,
    monthly_videos_completed bigint not null,
    monthly_video_seconds_watched numeric not null,
    monthly_assessments_attempted bigint not null,
    monthly_assessments_passed bigint not null,
    monthly_attempt_count bigint not null,
    monthly_score_sum numeric not null,
    monthly_score_count bigint not null,
    monthly_score_mean numeric,
    monthly_contributions bigint not null,
    monthly_completions bigint not null,
    lifetime_active_days bigint not null,
    lifetime_event_count bigint not null,
    lifetime_interaction_count bigint not null,
    lifetime_active_minutes bigint,
    lifetime_session_count bigint,
    lifetime_time_on_task_seconds bigint,
    lifetime_resources_viewed bigint not null,
    lifetime_videos_started bigint not null,
    lifetime_videos_completed bigint not null,
    lifetime_video_seconds_watched numeric not null,
    lifetime_assessments_attempted bigint not null,
    lifetime_assessments_passed bigint not null,
    lifetime_attempt_count bigint not null,
    lifetime_score_sum numeric not null,
    lifetime_score_count bigint not null,
    lifetime_score_mean numeric,
    lifetime_contributions bigint not null,
    lifetime_completions bigint not null,
    first_event_at timestamptz,
    last_event_at timestamptz,
    last_active_on date,
    current_streak_days integer not null,
    longest_streak_days integer not null,
    is_enrolled boolean not null,
    enrolled_on date,
    is_completed boolean not null,
    completed_at timestamptz,
    is_at_risk boolean not null,
    engagement_rank numeric,
    engagement_band text not null,
    weekly_attempts_per_pass numeric,
    struggle_rank numeric,
    is_struggling boolean not null,
    constraint learner_analytics_summary_pkey primary key (organization_id, learner_id, course_id),
    constraint learner_analytics_summary_band_check check (engagement_band in ('high', 'medium', 'low', 'inactive'))
);

create table audited.organization_metrics (
    organization_id bigint not null,
    window_ends_on date not null,
    daily_active_learners bigint not null,
    daily_active_learners_before bigint not null,
    daily_active_learners_change numeric,
    daily_time_on_task_seconds bigint,
    daily_time_on_task_seconds_per_active_learner numeric,
    weekly_active_learners bigint not null,
    weekly_active_learners_before bigint not null,
    weekly_active_learners_change numeric,
    weekly_time_on_task_seconds bigint,
    weekly_time_on_task_seconds_per_active_learner numeric,
    monthly_active_learners bigint not null,
    monthly_active_learners_before bigint not null,
    monthly_active_learners_change numeric,
    monthly_time_on_task_seconds bigint,
    monthly_time_on_task_seconds_per_active_learner numeric,
    enrollments_open bigint not null,
    enrollments_completed bigint not null,
    completion_rate numeric,
    learners_enrolled bigint not null,
    learners_at_risk bigint not null,
    at_risk_share numeric,
    best_course_ids bigint[] not null,
    best_course_completion_rates numeric[] not null,
    weakest_course_ids bigint[] not null,
    weakest_course_completion_rates numeric[] not null,
    data_as_of timestamptz not null,
    constraint organization_metrics_pkey primary key (organization_id)
);

create materialized view stage_three.mv_learner_analytics_summary as
select
    organization_id,
    learner_id,
    course_id,
    weekly_active_days,
    weekly_event_count,
    weekly_interaction_count,
    weekly_active_minutes,
    weekly_session_count,
    weekly_time_on_task_seconds,
    weekly_resources_viewed,
    weekly_videos_started,
    weekly_videos_completed,
    weekly_video_seconds_watched,
    weekly_assessments_attempted,
    weekly_assessments_passed,
    weekly_attempt_count,
    weekly_score_sum,
    weekly_score_count,
    weekly_score_mean,
    weekly_contributions,
    weekly_completions,
    monthly_active_days,
    monthly_event_count,
    monthly_interaction_count,
    monthly_active_minutes,
    monthly_session_count,
    monthly_time_on_task_seconds,
    monthly_resources_viewed,
    monthly_videos_started,
    monthly_videos_completed,
    monthly_video_seconds_watched,
    monthly_assessments_attempted,
    monthly_assessments_passed,
    monthly_attempt_count,
    monthly_score_sum,
    monthly_score_count,
    monthly_score_mean,
    monthly_contributions,
    monthly_completions,
    lifetime_active_days,
    lifetime_event_count,
    lifetime_interaction_count,
    lifetime_active_minutes,
    lifetime_session_count,
    lifetime_time_on_task_seconds,
    lifetime_resources_viewed,
    lifetime_videos_started,
    lifetime_videos_completed,
    lifetime_video_seconds_watched,
    lifetime_assessments_attempted,
    lifetime_assessments_passed,
    lifetime_attempt_count,
    lifetime_score_sum,
    lifetime_score_count,
    lifetime_score_mean,
    lifetime_contributions,
    lifetime_completions,
    first_event_at,
    last_event_at,
    last_active_on,
    current_streak_days,
    longest_streak_days,
    is_enrolled,
    enrolled_on,
    is_completed,
    completed_at,
    is_at_risk,
    engagement_rank,
    engagement_band,
    weekly_attempts_per_pass,
    struggle_rank,
    is_struggling
from audited.learner_analytics_summary;
create unique index mv_learner_analytics_summary_key on stage_three.mv_learner_analytics_summary (organization_id, learner_id, course_id);

create index mv_learner_analytics_summary_course_idx on stage_three.mv_learner_analytics_summary (organization_id, course_id);
create materialized view stage_three.mv_organization_metrics as
select
    organization_id,
    window_ends_on,
    daily_active_learners,
    daily_active_learners_before,
    daily_active_learners_change,
    daily_time_on_task_seconds,
    daily_time_on_task_seconds_per_active_learner,
    weekly_active_learners,
    weekly_active_learners_before,
    weekly_active_learners_change,
    weekly_time_on_task_seconds,
    weekly_time_on_task_seconds_per_active_learner,
    monthly_active_learners,
    monthly_active_learners_before,
    monthly_active_learners_change,
    monthly_time_on_task_seconds,
    monthly_time_on_task_seconds_per_active_learner,
    enrollments_open,
    enrollments_completed,
    completion_rate,
    learners_enrolled,
    learners_at_risk,
    at_risk_share,
    best_course_ids,
    best_course_completion_rates,
    weakest_course_ids,
    weakest_course_completion_rates,
    data_as_of
from audited.organization_metrics;
create unique index mv_organization_metrics_key on stage_three.mv_organization_metrics (organization_id);

-- migrate:down
