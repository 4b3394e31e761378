-- migrate:up

-- The row that an erased person's numbers hang on: a fresh id without identity. When it was made says nothing.
alter table core.users add column is_erased boolean not null default false;
comment on column core.users.is_erased is 'The id stands for somebody who was erased. Nothing leads from a person to it; created_at is that of the organization.';

-- One row per person who is being erased, or was. What links the ids before to the ids after is here as long as the work
-- goes on, and is gone with its end.
create table ops.erasures (
    organization_id bigint not null,
    erasure_id bigint generated always as identity,
    begun_as_of timestamptz not null,
    finished_as_of timestamptz,
    approved_by text not null,
    reason text,
    user_ids bigint[],
    fresh_user_ids bigint[],
    identity_hashes bytea[],
    login_names text[],
    is_rekeyed boolean not null default false,
    ids_erased integer not null,
    row_counts jsonb not null default '{}',
    archive_counts jsonb not null default '{}',
    archives_rewritten integer not null default 0,
    logins_kept integer,
    version_before bigint,
    version_after bigint,
    certificate_id bigint,
    constraint erasures_pkey primary key (organization_id, erasure_id),
    constraint erasures_organization_fkey foreign key (organization_id) references core.organizations (organization_id),
    constraint erasures_ids_check check (cardinality(user_ids) = cardinality(fresh_user_ids)),
    constraint erasures_begun_check check (
        finished_as_of is not null
        or (
            user_ids is not null
            and fresh_user_ids is not null
            and identity_hashes is not null
            and login_names is not null
        )
    ),
    constraint erasures_finished_check check (
        finished_as_of is null
        or (
            user_ids is null
            and fresh_user_ids is null
            and identity_hashes is null
            and login_names is null
            and is_rekeyed
            and certificate_id is not null
        )
    )
);
comment on table ops.erasures is 'One row per erased person: counts, dates and the certificate. While the work goes on also the ids before and after.';
comment on column ops.erasures.user_ids is 'The ids of the person, those of merged users included. Null once the person is erased.';
comment on column ops.erasures.fresh_user_ids is 'The id that takes the place of each. Null once the person is erased.';
comment on column ops.erasures.identity_hashes is 'The keyed hashes that led to the person, searched for in payloads. Null once the person is erased.';
comment on column ops.erasures.login_names is 'Logins of the server that were the person''s, until they are dropped. Null once the person is erased.';
comment on column ops.erasures.is_rekeyed is 'Whether the tables of the warehouse know the person no more. Batches that were prepared before look here.';
comment on column ops.erasures.row_counts is 'Rows that were re-keyed, changed or removed, by table.';
comment on column ops.erasures.archive_counts is 'Rows that were re-keyed in archives, by table.';
comment on column ops.erasures.certificate_id is 'The row of the audit trail that certifies the erasure.';

-- migrate:down
