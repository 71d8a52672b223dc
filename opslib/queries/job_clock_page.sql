-- When were the jobs of the clock (those that no request left) queued? Times only, one page, oldest first.
select id, job_name, queued_at
from job_runs
where queued_at >= %(start)s and queued_at < %(end)s and request_id is null
  and (queued_at, id) > (%(after_at)s, %(after_id)s)
  and (%(job)s = '' or job_name = %(job)s)
order by queued_at, id
limit %(page)s
