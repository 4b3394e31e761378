-- migrate:up

-- Which warehouse this is. The key database remembers whose keys it holds, so that no warehouse ever writes under the keys of
-- another. A copy or a restored dump is the same warehouse.
create table ops.warehouse_identity (
    is_only boolean not null default true,
    warehouse_id uuid not null,
    constraint warehouse_identity_pkey primary key (is_only),
    constraint warehouse_identity_is_only_check check (is_only)
);
insert into ops.warehouse_identity (warehouse_id) values (gen_random_uuid());

-- What names a person, encrypted by the application (AES-256-GCM) under a key of that person alone, which lies in the key
-- database, wrapped. A column without a value is null. The indexes are keyed hashes of normalized values: equal values of one
-- organization are equal there, and nothing else can be told from them without the home's root key.
create table core.user_profiles (
    organization_id bigint not null,
    user_id bigint not null,
    key_version integer not null,
    sourced_id bytea,
    username bytea,
    email bytea,
    given_name bytea,
    middle_name bytea,
    family_name bytea,
    preferred_given_name bytea,
    preferred_middle_name bytea,
    preferred_family_name bytea,
    identifier bytea,
    user_ids bytea,
    sourced_id_index bytea,
    username_index bytea,
    email_index bytea,
    content_hash bytea not null,
    updated_at timestamptz not null,
    constraint user_profiles_pkey primary key (organization_id, user_id),
    constraint user_profiles_user_fkey foreign key (organization_id, user_id)
    references core.users (organization_id, user_id),
    constraint user_profiles_key_version_check check (key_version > 0),
    constraint user_profiles_content_hash_check check (octet_length(content_hash) = 32)
);
create index user_profiles_sourced_id_idx on core.user_profiles (organization_id, sourced_id_index);
create index user_profiles_username_idx on core.user_profiles (organization_id, username_index);
create index user_profiles_email_idx on core.user_profiles (organization_id, email_index);
comment on table core.user_profiles is 'Names, e-mail addresses and identifiers of the people whom rosters name, encrypted per person. The last delivery that names a person counts.';
comment on column core.user_profiles.key_version is 'Version of the person''s data key.';
comment on column core.user_profiles.content_hash is 'Keyed hash of all values and of the person: tells a change without decrypting.';

-- migrate:down
