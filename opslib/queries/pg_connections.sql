-- How many sessions are there, of how many that may be, and what are they doing?
select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
       count(*) as used,
       count(*) filter (where state = 'active') as active,
       count(*) filter (where state = 'idle') as idle,
       count(*) filter (where state in ('idle in transaction', 'idle in transaction (aborted)')) as idle_in_transaction,
       coalesce(max(extract(epoch from clock_timestamp() - xact_start)) filter (where state in ('idle in transaction', 'idle in transaction (aborted)')), 0)::float8
           as longest_idle_in_transaction_s,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all
from pg_stat_activity
where (backend_type = 'client backend' or (backend_type is null and datid is not null))  -- null: hidden from this role
  and pid <> pg_backend_pid()
