-- Which of these tables are there, may this role read them, and does an index begin with each of these columns?
select wanted.name as table_name, to_regclass(wanted.name) is not null as present,
       coalesce(has_table_privilege(to_regclass(wanted.name), 'select'), false) as readable,
       (select array_agg(distinct pg_get_indexdef(i.indexrelid, 1, true)) from pg_index i
        where i.indrelid = to_regclass(wanted.name) and i.indisvalid and i.indpred is null) as indexed,
       coalesce((select c.reltuples from pg_class c where c.oid = to_regclass(wanted.name)), 0)::float8 as rows
from unnest(%(tables)s::text[]) as wanted(name)
order by 1
