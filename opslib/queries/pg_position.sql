-- Where in the log does this server stand, and is it a replica? pg_wal_lsn_diff from the origin makes it a number.
select pg_is_in_recovery() as replica,
       pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, '0/0')::float8 as position,
       case when not pg_is_in_recovery() or pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0.0
            else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 end as lag_s
