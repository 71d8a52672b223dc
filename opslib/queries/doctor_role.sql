-- What may this role see: others' sessions, statistics, and is pg_stat_statements there? Does a session of ours write?
select current_user::text as role,
       pg_has_role(current_user, 'pg_monitor', 'member') or pg_has_role(current_user, 'pg_read_all_stats', 'member') as sees_statistics,
       exists (select 1 from pg_extension where extname = 'pg_stat_statements') as has_statements,
       current_setting('default_transaction_read_only') = 'on' as read_only,
       current_setting('server_version_num')::int as version
