-- Is this a replica, and how many seconds behind is it? One that has replayed all it received is not behind, however idle.
select pg_is_in_recovery() as replica,
       case when not pg_is_in_recovery() or pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0.0
            else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 end as lag_s
