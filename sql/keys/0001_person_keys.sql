-- The key database: data keys of people, each wrapped by a key that lies in no database. It holds nothing that names anybody,
-- and nothing of it is in a dump of the warehouse.

create table keys.warehouse (
    is_only boolean not null default true,
    warehouse_id uuid not null,
    constraint warehouse_pkey primary key (is_only),
    constraint warehouse_is_only_check check (is_only)
);
comment on table keys.warehouse is 'The warehouse whose people these keys belong to (its ops.warehouse_identity).';

-- A random value wrapped by each version of each provider that has wrapped a key: a wrong key of the same version shows here
-- before it wraps anything.
create table keys.provider_versions (
    provider text not null,
    version integer not null,
    wrapped_sample bytea not null,
    sample_hash bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint provider_versions_pkey primary key (provider, version),
    constraint provider_versions_version_check check (version > 0),
    constraint provider_versions_sample_hash_check check (octet_length(sample_hash) = 32)
);

create table keys.person_keys (
    organization_id bigint not null,
    user_id bigint not null,
    key_version integer not null default 1,
    provider text,
    provider_version integer,
    wrapped_key bytea,
    created_at timestamptz not null default clock_timestamp(),
    wrapped_at timestamptz,
    destroyed_at timestamptz,
    constraint person_keys_pkey primary key (organization_id, user_id),
    constraint person_keys_version_check check (key_version > 0),
    constraint person_keys_destroyed_check check (
        (destroyed_at is null) = (wrapped_key is not null)
        and (wrapped_key is null) = (provider is null)
        and (wrapped_key is null) = (provider_version is null)
        and (wrapped_key is null) = (wrapped_at is null)
    )
);
create index person_keys_provider_idx on keys.person_keys (provider, provider_version);
comment on column keys.person_keys.destroyed_at is 'When the key was destroyed. The row stays, so that the person never gets another.';
comment on column keys.person_keys.provider_version is 'Version of the provider''s key that wraps this one.';
