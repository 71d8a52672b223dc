-- Which jobs did this request start, and how did they end?
select id, job_name, status, queued_at, started_at, finished_at, attempt, error
from job_runs
where request_id = %(request_id)s
order by queued_at, id
limit 200
