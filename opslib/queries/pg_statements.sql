-- Which statements took the most time since the statistics were last reset? Works with PostgreSQL 15 to 18, whose names differ.
select s.queryid::text as id, r.rolname as "user", d.datname as database, s.query, s.calls, s.rows,
       s.total_exec_time as total_ms, s.mean_exec_time as mean_ms, s.max_exec_time as max_ms,
       s.shared_blks_hit as hit, s.shared_blks_read as read, s.temp_blks_written as temp_written,
       coalesce(to_jsonb(s) ->> 'shared_blk_read_time', to_jsonb(s) ->> 'blk_read_time')::float8 as read_ms,
       (select stats_reset from pg_stat_statements_info) as since,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all
from pg_stat_statements s join pg_roles r on r.oid = s.userid join pg_database d on d.oid = s.dbid
where d.datname = current_database()
order by s.total_exec_time desc
limit 50
