-- Is this a replica, and how many seconds behind is it? One that receives and has replayed all of it is not behind, however idle;
-- one that receives nothing any more is as old as the last change that it replayed.
select pg_is_in_recovery() as replica,
       case when not pg_is_in_recovery() then 0.0
            when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() and exists (select 1 from pg_stat_wal_receiver) then 0.0
            else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 end as lag_s
