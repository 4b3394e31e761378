-- migrate:up

-- Who is asking. Nothing here is for tenant roles but the functions of sql/repeatable/auth; the tables belong to
-- lyceum_definer, as which those functions run, and are granted to nobody.
create schema auth authorization lyceum_definer;
comment on schema auth is 'Who is asking: the verified claims of the running statement.';
grant usage on schema auth
to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;

-- HMAC-SHA256 needs the key only as two padded blocks, and those are all that lies here: sha256() is built in, hmac() is not.
create table auth.signing_keys (
    key_id text not null,
    inner_pad bytea not null,
    outer_pad bytea not null,
    created_at timestamptz not null,
    retired_at timestamptz,
    constraint signing_keys_pkey primary key (key_id),
    constraint signing_keys_key_id_check check (key_id ~ '^[0-9a-f]{16}$'),
    constraint signing_keys_pads_check check (octet_length(inner_pad) = 64 and octet_length(outer_pad) = 64),
    constraint signing_keys_retired_check check (retired_at >= created_at)
);
comment on table auth.signing_keys is 'Keys of internal tokens. Whoever reads one can make tokens; a new one: lyceum token keys rotate.';
comment on column auth.signing_keys.retired_at is 'From this instant on, no token of the key counts.';
alter table auth.signing_keys owner to lyceum_definer;

create table auth.logins (
    login_name text not null,
    role text not null,
    organization_id bigint,
    user_id bigint,
    created_at timestamptz not null default clock_timestamp(),
    constraint logins_pkey primary key (login_name),
    constraint logins_login_name_check check (login_name <> '' and login_name !~ '^lyceum_'),
    constraint logins_role_check
    check (role in ('learner', 'trainer', 'org_admin', 'service', 'analyst', 'auditor')),
    constraint logins_organization_check check (organization_id is not null or (role = 'auditor' and user_id is null)),
    constraint logins_user_check check (role not in ('learner', 'trainer') or user_id is not null),
    constraint logins_organization_fkey foreign key (organization_id) references core.organizations (organization_id),
    constraint logins_user_fkey foreign key (organization_id, user_id)
    references core.users (organization_id, user_id)
);
create index logins_user_idx on auth.logins (organization_id, user_id);
comment on table auth.logins is 'People who connect directly, by the name that they logged in with. What such a login may read is here alone: tokens do not count for it.';
comment on column auth.logins.organization_id is 'Null: every organization, for an auditor of the operator.';
alter table auth.logins owner to lyceum_definer;
-- No policy: nobody sees a row but lyceum_definer, which bypasses row security.
alter table auth.logins enable row level security;
alter table auth.logins force row level security;

-- migrate:down
