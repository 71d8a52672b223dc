-- How do logins usually end, hour by hour, before the window? The measure of "too many failures".
select date_trunc('hour', at) as hour, count(*) as logins, count(*) filter (where outcome <> 'success') as failed
from audit_logs
where at >= %(start)s and at < %(end)s and action like %(action)s
group by 1
order by 1
