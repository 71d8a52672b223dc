-- What is each session of the application doing at this moment, for how long, and what does it wait for?
select pid, usename as "user", datname as database, application_name as application, host(client_addr) as client, state,
       case when state = 'active' then coalesce(wait_event_type || ':' || wait_event, 'CPU')
            else coalesce(wait_event_type || ':' || wait_event, '') end as wait,
       extract(epoch from clock_timestamp() - state_change)::float8 as state_s,
       extract(epoch from clock_timestamp() - xact_start)::float8 as transaction_s,
       extract(epoch from clock_timestamp() - query_start)::float8 as query_s,
       query,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all
from pg_stat_activity
where (backend_type = 'client backend' or (backend_type is null and datid is not null))  -- null: hidden from this role
  and pid <> pg_backend_pid()
order by (state = 'idle'), xact_start nulls last, pid
limit 1000
