-- Who is the user that the log lines name?
select *
from users
where id = %(user_id)s
limit 1
