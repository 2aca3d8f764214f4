{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Units that are others on a reference date than in the chosen territorial state: those that have changed since, those that are
-- dead by then, and those that were not there yet. A strip of land without inhabitants that changed hands makes no other unit.
select distinct
    dates.reference_date,
    conversion.level,
    unit.territory_code
from (select distinct reference_date from {{ ref('int_period__parsed') }}) as dates
inner join {{ ref('int_territory__conversion') }} as conversion
    on dates.reference_date between conversion.from_date and conversion.to_date
-- once the old unit is dead, the one it went into has been itself for as long
left join {{ ref('int_territory__validity') }} as validity
    on {{ valid_on('validity', 'conversion.old_code', 'dates.reference_date') }}
cross join lateral (
    values (conversion.old_code), (case when validity.territory_code is not null then conversion.new_code end)
) as unit (territory_code)
where
    unit.territory_code is not null
    and (
        conversion.new_code is null
        or (conversion.factor > 0 and (conversion.old_code <> conversion.new_code or conversion.factor < 1))
    )
