-- Who did what in the window? One page, oldest first, after the last row of the page before. `who` is actor or target.
select id, at, actor, actor_type, action, target_type, target_id, host(ip) as ip, user_agent, outcome, request_id,
       detail::text as detail
from audit_logs
where at >= %(start)s and at < %(end)s
  and (at, id) > (%(after_at)s, %(after_id)s)
  and (%(actor)s = '' or actor = %(actor)s)
  and (%(action)s = '' or action like %(action)s)
  and (%(target)s = '' or target_id = %(target)s)
  and (%(who)s = '' or actor = %(who)s or target_id = %(who)s)
order by at, id
limit %(page)s
