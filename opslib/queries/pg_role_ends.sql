-- Which roles that log in have a password that ends, and when?
select r.rolname::text as role, r.rolvaliduntil as ends,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all
from pg_roles r
where r.rolcanlogin and isfinite(r.rolvaliduntil)
order by 2, 1
