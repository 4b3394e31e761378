-- Every schema but those of the server.
select schemas.nspname
from pg_catalog.pg_namespace as schemas
where schemas.nspname !~ '^pg_' and schemas.nspname <> 'information_schema'
order by 1;
