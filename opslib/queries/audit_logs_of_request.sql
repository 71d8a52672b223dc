-- What was done in the name of this request, by whom?
select id, at, actor, actor_type, action, target_type, target_id, outcome
from audit_logs
where request_id = %(request_id)s
order by at, id
limit 200
