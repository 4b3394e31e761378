-- migrate:up

create table core.organizations (
    organization_id bigint generated always as identity,
    slug text not null,
    name text not null,
    created_at timestamptz not null,
    constraint organizations_pkey primary key (organization_id),
    constraint organizations_slug_key unique (slug),
    constraint organizations_slug_check check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$')
);

-- Effective-dated: a change takes effect at a future local midnight and never rewrites a day that was already told.
create table core.organization_time_zones (
    organization_id bigint not null,
    effective_from timestamptz not null,
    time_zone text not null,
    constraint organization_time_zones_pkey primary key (organization_id, effective_from),
    constraint organization_time_zones_organization_fkey foreign key (organization_id)
    references core.organizations (organization_id)
);

create table core.users (
    organization_id bigint not null,
    user_id bigint generated always as identity,
    role text not null default 'learner',
    is_provisional boolean not null default true,
    created_at timestamptz not null,
    constraint users_pkey primary key (organization_id, user_id),
    constraint users_organization_fkey foreign key (organization_id) references core.organizations (organization_id),
    constraint users_role_check check (role in ('learner', 'trainer', 'org_admin'))
);

-- identity_hash is a keyed hash (HMAC-SHA256) of an identifier; the identifier itself is stored nowhere.
create table core.user_identities (
    organization_id bigint not null,
    identity_hash bytea not null,
    user_id bigint not null,
    created_at timestamptz not null,
    constraint user_identities_pkey primary key (organization_id, identity_hash),
    constraint user_identities_user_fkey foreign key (organization_id, user_id)
    references core.users (organization_id, user_id),
    constraint user_identities_hash_check check (octet_length(identity_hash) = 32)
);
create index user_identities_user_idx on core.user_identities (organization_id, user_id);

create table core.sources (
    organization_id bigint not null,
    source_id integer generated always as identity,
    name text not null,
    format text not null,
    is_active boolean not null default true,
    created_at timestamptz not null,
    constraint sources_pkey primary key (organization_id, source_id),
    constraint sources_name_key unique (organization_id, name),
    constraint sources_organization_fkey foreign key (organization_id) references core.organizations (organization_id),
    constraint sources_format_check check (format in ('xapi', 'oulad')),
    constraint sources_name_check check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);

create table core.courses (
    organization_id bigint not null,
    course_id bigint generated always as identity,
    is_unassigned boolean not null default false,
    created_at timestamptz not null,
    constraint courses_pkey primary key (organization_id, course_id),
    constraint courses_organization_fkey foreign key (organization_id) references core.organizations (organization_id)
);
create unique index courses_unassigned_key on core.courses (organization_id) where is_unassigned;

create table core.course_aliases (
    organization_id bigint not null,
    activity_iri text not null,
    course_id bigint not null,
    constraint course_aliases_pkey primary key (organization_id, activity_iri),
    constraint course_aliases_course_fkey foreign key (organization_id, course_id)
    references core.courses (organization_id, course_id)
);
create index course_aliases_course_idx on core.course_aliases (organization_id, course_id);

create table core.objects (
    organization_id bigint not null,
    object_id integer generated always as identity,
    iri text not null,
    object_type text,
    constraint objects_pkey primary key (organization_id, object_id),
    constraint objects_iri_key unique (organization_id, iri),
    constraint objects_organization_fkey foreign key (organization_id) references core.organizations (organization_id)
);

create table core.verbs (
    organization_id bigint not null,
    verb_id integer generated always as identity,
    iri text not null,
    constraint verbs_pkey primary key (organization_id, verb_id),
    constraint verbs_iri_key unique (organization_id, iri),
    constraint verbs_organization_fkey foreign key (organization_id) references core.organizations (organization_id)
);

create table core.enrollments (
    organization_id bigint not null,
    course_id bigint not null,
    user_id bigint not null,
    role text not null,
    valid_from date not null,
    valid_to date,
    known_at timestamptz not null,
    source_id integer not null,
    constraint enrollments_pkey primary key (organization_id, course_id, user_id, role, valid_from, known_at),
    constraint enrollments_user_fkey foreign key (organization_id, user_id)
    references core.users (organization_id, user_id),
    constraint enrollments_course_fkey foreign key (organization_id, course_id)
    references core.courses (organization_id, course_id),
    constraint enrollments_source_fkey foreign key (organization_id, source_id)
    references core.sources (organization_id, source_id),
    constraint enrollments_role_check check (role in ('learner', 'trainer')),
    constraint enrollments_valid_check check (valid_to is null or valid_to >= valid_from)
);

-- migrate:down
