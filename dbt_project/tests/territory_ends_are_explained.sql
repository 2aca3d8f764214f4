{{ config(severity='warn') }}
-- A unit that is in no register any more went somewhere. Where no list of changes says so, its numbers cannot be converted: the
-- list of that year is missing, or the unit in it.
select
    change.old_code as territory_code,
    change.old_code || ' (' || change.old_name || ') is gone since ' || change.effective_date
    || ' at the latest, and no list of changes says where to.' as sentence
from {{ ref('dim_territory_change') }} as change
where change.kind = 'unknown'
