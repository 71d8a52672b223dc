-- What did these actors do, and from which networks (/24, IPv6 /48), before the window? The measure of "for the first time".
select actor, action, network(set_masklen(ip, case family(ip) when 4 then 24 else 48 end))::text as network,
       count(*) as rows, count(distinct at::date) as days, min(at) as first_at, max(at) as last_at
from audit_logs
where at >= %(start)s and at < %(end)s and actor = any(%(actors)s)
group by 1, 2, 3
order by 1, 2, 3
