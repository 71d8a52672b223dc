-- What a change of one table sets off: triggers that people made, and rows of other tables that a deletion takes along.
select 'trigger' as kind, t.tgname::text as name
from pg_trigger t
where t.tgrelid = to_regclass(%(table)s) and not t.tgisinternal and t.tgenabled <> 'D'
union all
select 'cascade', c.conrelid::regclass::text || '.' || c.conname
from pg_constraint c
where c.confrelid = to_regclass(%(table)s) and c.contype = 'f' and c.confdeltype in ('c', 'n', 'd')
union all
select 'replica', 'this is a replica' where pg_is_in_recovery()
order by 1, 2
