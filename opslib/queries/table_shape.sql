-- The columns of one table, which of them are its primary key, and which PostgreSQL computes itself.
select a.attname as name,
       coalesce(a.attnum = any (i.indkey), false) as key,
       a.attgenerated <> '' as computed
from pg_attribute a
left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
where a.attrelid = to_regclass(%(table)s) and a.attnum > 0 and not a.attisdropped
order by a.attnum
