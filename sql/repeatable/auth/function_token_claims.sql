-- The claims of an internal token, or null: for anything that is not a token of ours which is valid now.
--
--     v1.<key id>.<claims, JSON in base64>.<HMAC-SHA256 of all before the last dot, hexadecimal>
--
-- Nothing is decoded before the MAC is verified, so no text whatever makes this raise. The MACs are compared by their hashes:
-- how long that takes says nothing about the MAC. A token opens statements that begin before it expires. A statement that
-- has begun may go on for a minute, because its parts ask one after another, and a part that found no claims would add
-- no rows without a word; whoever mints a token lets no statement run longer.
create or replace function auth.token_claims(token text, begun_at timestamptz, now_at timestamptz)
returns jsonb
language plpgsql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    parts text[];
    pads record;
    claims jsonb;
    expires_at timestamptz;
begin
    -- A longer text is none of ours, and is not worth hashing.
    if token is null or octet_length(token) not between 85 and 4096 then
        return null;
    end if;
    parts := string_to_array(token, '.');
    if cardinality(parts) <> 4 or parts[1] <> 'v1' then
        return null;
    end if;
    select
        keys.inner_pad,
        keys.outer_pad
    into pads
    from auth.signing_keys as keys
    where keys.key_id = parts[2] and (keys.retired_at is null or keys.retired_at > now_at);
    if not found then
        return null;
    end if;
    if
        sha256(convert_to(parts[4], 'UTF8'))
        <> sha256(
            convert_to(
                encode(
                    sha256(
                        pads.outer_pad
                        || sha256(pads.inner_pad || convert_to(concat_ws('.', parts[1], parts[2], parts[3]), 'UTF8'))
                    ),
                    'hex'
                ),
                'UTF8'
            )
        )
    then
        return null;
    end if;
    claims := convert_from(decode(parts[3], 'base64'), 'UTF8')::jsonb;
    expires_at := to_timestamp((claims ->> 'expires_at')::bigint / 1000.0);
    if
        claims ->> 'role' in ('learner', 'trainer', 'org_admin', 'service', 'analyst', 'auditor')
        and begun_at < expires_at
        and now_at < expires_at + interval '60 seconds'
        -- No token lives longer than a minute, whoever minted it; five seconds for clocks that differ.
        and expires_at <= now_at + interval '65 seconds'
    then
        return claims;
    end if;
    return null;
end;
$$;
alter function auth.token_claims(text, timestamptz, timestamptz) owner to lyceum_definer;
-- For auth.claims() alone: the instants must be the server's.
revoke all on function auth.token_claims(text, timestamptz, timestamptz) from public;
