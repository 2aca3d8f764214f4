{{ config(materialized='view') }}

-- The schema this view itself stands in: the candidate while it is tested, the published one afterwards.
-- A comment is the English text, then ' | ', then the German one.
with home as (
    select relation.relnamespace as namespace
    from pg_catalog.pg_class as relation
    where relation.oid = to_regclass('{{ this.schema }}.{{ this.identifier }}')
),

relations as (
    select
        relation.oid as relation_id,
        relation.relname::text as relation_name,
        case relation.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end as relation_kind
    from pg_catalog.pg_class as relation
    inner join home
        on relation.relnamespace = home.namespace
    where relation.relkind in ('r', 'p', 'v', 'm')
),

described as (
    select
        relation_name,
        relation_kind,
        null::text as column_name,
        0 as ordinal,
        null::text as data_type,
        obj_description(relation_id, 'pg_class') as description
    from relations
    union all
    select
        relations.relation_name,
        relations.relation_kind,
        attribute.attname::text,
        -- dropped columns leave holes in attnum
        row_number() over (partition by relations.relation_id order by attribute.attnum)::integer,
        format_type(attribute.atttypid, attribute.atttypmod),
        col_description(relations.relation_id, attribute.attnum)
    from relations
    inner join pg_catalog.pg_attribute as attribute
        on relations.relation_id = attribute.attrelid and attribute.attnum > 0 and not attribute.attisdropped
)

select
    relation_name,
    relation_kind,
    column_name,
    ordinal,
    data_type,
    split_part(description, ' | ', 1) as description_en,
    case when position(' | ' in description) > 0 then substr(description, position(' | ' in description) + 3) end
        as description_de
from described
