-- Which jobs were queued before the end of the window and have not ended yet, however long ago that was?
select id, job_name, status, queued_at, started_at, finished_at, attempt, request_id, error, detail::text as detail
from job_runs
where status in ('queued', 'running') and queued_at < %(end)s
  and (queued_at, id) > (%(after_at)s, %(after_id)s)
  and (%(job)s = '' or job_name = %(job)s)
order by queued_at, id
limit %(page)s
