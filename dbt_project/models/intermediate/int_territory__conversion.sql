{{ config(materialized='table', unlogged=true) }}
with c as (
select 'municipality' as level, old_code, date '0001-01-01' as from_date, max(dead_from) - 1 as to_date, max(new_code) as new_code, 'exact_sum' as method, 1::numeric as factor
from {{ ref('int_territory__lineage') }} group by old_code)
select level, old_code, from_date, to_date, new_code, method, factor from c union all
select c.level, c.new_code, c.from_date, max(c.to_date), c.new_code, c.method, c.factor from c inner join {{ ref('int_territory__validity') }} v on v.territory_code = c.new_code and v.valid_from = '1900-01-01' group by c.level, c.new_code, c.from_date, c.method, c.factor
