-- Which sessions wait for a lock, which sessions hold it, and what do both run?
with waiting as (
    select pid, pg_blocking_pids(pid) as blocked_by
    from pg_stat_activity
    where (wait_event_type = 'Lock' or backend_type is null) and cardinality(pg_blocking_pids(pid)) > 0
), involved as (
    select pid from waiting
    union
    select unnest(blocked_by) from waiting
)
select a.pid, coalesce(w.blocked_by, '{}') as blocked_by, a.usename as "user", a.application_name as application,
       host(a.client_addr) as client, a.state,
       extract(epoch from clock_timestamp() - a.xact_start)::float8 as transaction_s,
       extract(epoch from clock_timestamp() - case when w.pid is null then a.state_change else a.query_start end)::float8 as since_s,
       (select string_agg(distinct coalesce(l.relation::regclass::text, l.locktype) || ' ' || l.mode, ', ')
        from pg_locks l where l.pid = a.pid and not l.granted) as waits_for,
       a.query,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all
from involved join pg_stat_activity a using (pid) left join waiting w using (pid)
order by a.pid
