-- How do these jobs usually go, by day of the week in the given zone (Monday is 1)? Only what was queued before the window.
select job_name,
       extract(isodow from queued_at at time zone %(zone)s)::int as weekday,
       count(*) as runs,
       count(*) filter (where status in ('failed', 'error')) as failed,
       count(*) filter (where attempt > 1) as retried,
       percentile_cont(0.5) within group (order by extract(epoch from finished_at - started_at)::float8) as median_s,
       percentile_cont(0.99) within group (order by extract(epoch from finished_at - started_at)::float8) as p99_s,
       max(queued_at) as last_queued,
       max(finished_at) filter (where status = 'succeeded') as last_success,
       bool_and(request_id is null) as by_clock
from job_runs
where queued_at >= %(start)s and queued_at < %(end)s
  and (%(job)s = '' or job_name = %(job)s)
group by 1, 2
order by 1, 2
