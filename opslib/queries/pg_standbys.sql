-- How far is each standby behind in the log, and how much log does each slot keep on the disk?
select coalesce(nullif(r.application_name, ''), host(r.client_addr), s.slot_name::text) as name,
       coalesce(r.state, case when s.active then 'active' else 'inactive' end) as state,
       pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)::float8 as behind_bytes,
       extract(epoch from r.replay_lag)::float8 as replay_lag_s,
       s.slot_name::text as slot,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::float8 as kept_bytes,
       coalesce(s.wal_status, '') as wal_status,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all
from pg_stat_replication r full join pg_replication_slots s on s.active_pid = r.pid
where not pg_is_in_recovery()
order by 1
