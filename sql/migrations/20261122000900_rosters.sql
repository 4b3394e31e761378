-- migrate:up

-- A source is a channel: files that land, or a Learning Record Store that is pulled. Options are what the channel needs to
-- know (endpoint, identity rules, activity templates); secrets are never among them, only the name under which they are found.
alter table core.sources add column channel text not null default 'files';
alter table core.sources add column options jsonb not null default '{}';
alter table core.sources add constraint sources_channel_check check (channel in ('files', 'lrs'));
alter table core.sources drop constraint sources_format_check;
alter table core.sources add constraint sources_format_check check (format in ('xapi', 'oulad', 'oneroster'));

alter table core.courses add column title text;
comment on column core.courses.title is 'Title of the class as the roster tells it; null for a course that no roster has named.';

-- One row per delivery of a roster. What it says about people is in the tables below, by pseudonymous ids.
create table ops.rosters (
    organization_id bigint not null,
    roster_id bigint generated always as identity,
    source_id integer not null,
    fingerprint bytea not null,
    name text not null,
    known_at timestamptz not null,
    version text not null,
    speaks_for datemultirange not null,
    rows_read integer not null,
    rows_accepted integer not null,
    rows_quarantined integer not null,
    rows_ignored integer not null,
    users_created integer not null,
    users_claimed integer not null,
    users_merged integer not null,
    enrollments_changed integer not null,
    identities_ambiguous integer not null,
    actors_unmatched integer not null,
    run_id text not null,
    constraint rosters_pkey primary key (organization_id, roster_id),
    constraint rosters_source_fkey foreign key (organization_id, source_id)
    references core.sources (organization_id, source_id),
    constraint rosters_nothing_lost_check check (rows_read = rows_accepted + rows_quarantined + rows_ignored)
);
comment on column ops.rosters.fingerprint is 'SHA-256 of the content of the delivery and of the options that it was read with.';
create index rosters_source_idx on ops.rosters (organization_id, source_id, roster_id);
comment on column ops.rosters.identities_ambiguous is 'Identities that several people of the roster share, so that none of them could claim it.';
comment on column ops.rosters.actors_unmatched is 'People with activity whom no roster names, after this delivery.';
comment on column ops.rosters.speaks_for is 'The days whose enrollments this delivery decides: those of weeks that still took events at known_at, and days that had never been told.';

-- The rows of a roster that were refused. They name people, so nothing of their content is kept: the file, the line and the
-- column say where to look.
create table stage_one.roster_quarantine (
    organization_id bigint not null,
    roster_id bigint not null,
    file_name text not null,
    line bigint not null,
    reason text not null,
    detail text not null,
    quarantined_at timestamptz not null,
    constraint roster_quarantine_pkey primary key (organization_id, roster_id, file_name, line),
    constraint roster_quarantine_roster_fkey foreign key (organization_id, roster_id)
    references ops.rosters (organization_id, roster_id),
    constraint roster_quarantine_reason_check check (
        reason in ('malformed', 'missing_value', 'invalid_value', 'unknown_reference', 'conflict')
    )
);

-- Classes by their sourcedId at a source.
create table core.roster_classes (
    organization_id bigint not null,
    source_id integer not null,
    sourced_id text not null,
    course_id bigint not null,
    starts_on date,
    rostered_days datemultirange not null,
    constraint roster_classes_pkey primary key (organization_id, source_id, sourced_id),
    constraint roster_classes_course_fkey foreign key (organization_id, course_id)
    references core.courses (organization_id, course_id)
);
create index roster_classes_course_idx on core.roster_classes (organization_id, course_id);
comment on column core.roster_classes.starts_on is 'Earliest start of the class''s terms.';
comment on column core.roster_classes.rostered_days is 'Days for which a roster that named the class speaks.';

-- The people of a source, by a keyed hash of their sourcedId.
create table core.roster_people (
    organization_id bigint not null,
    source_id integer not null,
    person_hash bytea not null,
    user_id bigint not null,
    roles text[] not null,
    is_current boolean not null,
    constraint roster_people_pkey primary key (organization_id, source_id, person_hash),
    constraint roster_people_user_key unique (organization_id, source_id, user_id),
    constraint roster_people_user_fkey foreign key (organization_id, user_id)
    references core.users (organization_id, user_id),
    constraint roster_people_roles_check check (roles <@ '{learner,trainer,org_admin}')
);

-- The enrollment records of a source as last delivered, by a keyed hash of their sourcedId (which may spell a person''s name).
create table core.roster_enrollments (
    organization_id bigint not null,
    source_id integer not null,
    record_hash bytea not null,
    course_id bigint not null,
    user_id bigint not null,
    role text not null,
    first_named_on date not null,
    valid_days datemultirange not null,
    is_current boolean not null,
    constraint roster_enrollments_pkey primary key (organization_id, source_id, record_hash),
    constraint roster_enrollments_role_check check (role in ('learner', 'trainer'))
);
comment on column core.roster_enrollments.first_named_on is 'Local day on which a delivery named the enrollment first: it begins on it where neither it nor its class has a start.';
create index roster_enrollments_key_idx on core.roster_enrollments (organization_id, source_id, course_id, user_id, role);

drop table core.enrollments;

-- What a source said when about one person's part in one course: a version per change. Days without end reach to 9999-12-31.
create table core.enrollments (
    organization_id bigint not null,
    source_id integer not null,
    course_id bigint not null,
    user_id bigint not null,
    role text not null,
    roster_id bigint not null,
    known_at timestamptz not null,
    valid_days datemultirange not null,
    speaks_for datemultirange not null,
    constraint enrollments_pkey primary key (organization_id, source_id, course_id, user_id, role, roster_id),
    constraint enrollments_user_fkey foreign key (organization_id, user_id)
    references core.users (organization_id, user_id),
    constraint enrollments_course_fkey foreign key (organization_id, course_id)
    references core.courses (organization_id, course_id),
    constraint enrollments_source_fkey foreign key (organization_id, source_id)
    references core.sources (organization_id, source_id),
    constraint enrollments_role_check check (role in ('learner', 'trainer'))
);
create index enrollments_user_idx on core.enrollments (organization_id, user_id);

-- The days on which each person is enrolled in, or teaches, each course: of the versions that speak for a day the last known.
create view core.enrollment_days with (security_invoker = true) as
with

versions as (

    select
        organization_id,
        course_id,
        user_id,
        role,
        valid_days,
        speaks_for - coalesce(
            range_agg(speaks_for) over (
                partition by organization_id, source_id, course_id, user_id, role
                order by known_at, roster_id
                rows between 1 following and unbounded following
            ),
            '{}'
        ) as decided_days
    from core.enrollments

)

select
    organization_id,
    course_id,
    user_id,
    role,
    range_agg(valid_days * decided_days) as days
from versions
group by
    organization_id,
    course_id,
    user_id,
    role;

-- Identities that turned out to belong to one person. Rows of sealed weeks keep the user that they were told for.
create table ops.user_merges (
    organization_id bigint not null,
    merged_user_id bigint not null,
    user_id bigint not null,
    roster_id bigint not null,
    merged_at timestamptz not null,
    rekeyed_from date not null,
    is_rekeyed boolean not null default false,
    constraint user_merges_pkey primary key (organization_id, merged_user_id),
    constraint user_merges_user_fkey foreign key (organization_id, user_id)
    references core.users (organization_id, user_id),
    constraint user_merges_roster_fkey foreign key (organization_id, roster_id)
    references ops.rosters (organization_id, roster_id)
);
comment on column ops.user_merges.is_rekeyed is 'Whether raw rows and states have moved: a build does that as it begins, so that no other is under way.';
comment on column ops.user_merges.rekeyed_from is 'First activity date whose rows were told anew for user_id; earlier rows keep merged_user_id.';

-- People whose rows must be told anew although no new event of theirs was collected.
create table ops.pending_users (
    organization_id bigint not null,
    user_id bigint not null,
    told_from date not null,
    is_rekeyed boolean not null,
    marked_by bigint not null,
    constraint pending_users_pkey primary key (organization_id, user_id)
);
comment on column ops.pending_users.marked_by is 'The last roster that marked the user.';
comment on column ops.pending_users.is_rekeyed is 'Whether events moved to or from the user: the flow of the days is told anew too.';

create table ops.build_users (
    build_id bigint not null,
    organization_id bigint not null,
    user_id bigint not null,
    told_from date not null,
    is_rekeyed boolean not null,
    marked_by bigint not null,
    constraint build_users_pkey primary key (organization_id, build_id, user_id)
);
comment on table ops.build_users is 'The pending users as one snapshot saw them when the build began.';

alter table stage_three.learner_courses alter column first_event_on drop not null;
alter table stage_three.learner_courses alter column last_event_on drop not null;

create table stage_two.trainer_day_states (
    organization_id bigint not null,
    trainer_id bigint not null,
    course_id bigint not null,
    collected_hour timestamptz not null,
    activity_date date not null,
    attempts_reviewed integer not null,
    constraint trainer_day_states_pkey
    primary key (organization_id, trainer_id, course_id, activity_date, collected_hour)
) partition by range (activity_date);
create index trainer_day_states_hour_idx on stage_two.trainer_day_states (organization_id, collected_hour);
insert into ops.partition_policies (parent_table, granularity, create_ahead, hash_modulus, retention) values
('stage_two.trainer_day_states', 'week', 8, 2, '7 days');

-- migrate:down
