-- What did these actors do, from which networks (/24, IPv6 /48), at which hours of their day, before the window?
select actor, action, network(set_masklen(ip, case family(ip) when 4 then 24 else 48 end))::text as network,
       count(*) as rows, count(distinct (at at time zone %(zone)s)::date) as days, min(at) as first_at, max(at) as last_at,
       string_agg(distinct extract(hour from at at time zone %(zone)s)::int::text, ' ') as hours
from audit_logs
where at >= %(start)s and at < %(end)s and actor = any(%(actors)s)
group by 1, 2, 3
order by 1, 2, 3
