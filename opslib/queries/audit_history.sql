-- What did these actors do before the window, by hour, action and network (/24, IPv6 /48)?
select actor, action, network(set_masklen(ip, case family(ip) when 4 then 24 else 48 end))::text as network,
       date_trunc('hour', at, %(zone)s) as hour, count(*) as rows, count(distinct target_id) as targets,
       sum(case when detail->>'rows' ~ '^[0-9]{1,15}$' then (detail->>'rows')::bigint else 0 end)::bigint as exported
from audit_logs
where at >= %(start)s and at < %(end)s and actor = any(%(actors)s)
group by 1, 2, 3, 4
order by 1, 4, 2, 3
