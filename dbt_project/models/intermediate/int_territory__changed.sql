{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Units that are others on a reference date than in the chosen territorial state: those that have changed since, and those that
-- were not there yet. A strip of land without inhabitants that changed hands makes no other unit.
select distinct
    dates.reference_date,
    conversion.level,
    unit.territory_code
from (select distinct reference_date from {{ ref('int_period__parsed') }}) as dates
inner join {{ ref('int_territory__conversion') }} as conversion
    on dates.reference_date between conversion.from_date and conversion.to_date
cross join lateral (values (conversion.old_code), (conversion.new_code)) as unit (territory_code)
where
    unit.territory_code is not null
    and (
        conversion.new_code is null
        or (conversion.factor > 0 and (conversion.old_code <> conversion.new_code or conversion.factor < 1))
    )
