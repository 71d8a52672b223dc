-- Which jobs were queued in the window? One page, oldest first, after the last row of the page before.
select id, job_name, status, queued_at, started_at, finished_at, attempt, request_id, error, detail::text as detail
from job_runs
where queued_at >= %(start)s and queued_at < %(end)s
  and (queued_at, id) > (%(after_at)s, %(after_id)s)
  and (%(job)s = '' or job_name = %(job)s)
  and (%(status)s::text[] = '{}' or status = any(%(status)s::text[]))
order by queued_at, id
limit %(page)s
