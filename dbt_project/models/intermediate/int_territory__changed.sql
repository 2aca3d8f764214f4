{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Units that are others on a reference date than in the chosen territorial state: those that have changed since, those that are
-- dead by then, those that were not there yet, and those of which nobody can tell (int_territory__doubt). A strip of land without
-- inhabitants that changed hands makes no other unit.
-- `is_ahead`: the unit was not there yet and is in that state what it was when it began; an office that already books under its
-- key speaks of the territory of the state.
with dates as (
    select distinct reference_date
    from {{ ref('int_period__parsed') }}
),

changed as (
    select
        dates.reference_date,
        conversion.level,
        unit.territory_code
    from dates
    inner join {{ ref('int_territory__conversion') }} as conversion
        on dates.reference_date between conversion.from_date and conversion.to_date
    -- once the old unit is dead, the one it went into has been itself for as long
    left join {{ ref('int_territory__validity') }} as validity
        on {{ valid_on('validity', 'conversion.old_code', 'dates.reference_date') }}
    cross join lateral (
        values
        (conversion.old_code),
        (
            case
                when validity.territory_code is not null and dates.reference_date < conversion.ends_on
                    then conversion.new_code
            end
        )
    ) as unit (territory_code)
    where
        unit.territory_code is not null
        and (
            conversion.new_code is null
            or (conversion.factor > 0 and (conversion.old_code <> conversion.new_code or conversion.factor < 1))
        )
    union
    select
        dates.reference_date,
        doubt.level,
        doubt.territory_code
    from dates
    inner join {{ ref('int_territory__doubt') }} as doubt
        on dates.reference_date <= doubt.to_date
)

select
    changed.reference_date,
    changed.level,
    changed.territory_code,
    not exists (
        select 1 from {{ ref('int_territory__validity') }} as unit
        where {{ valid_on('unit', 'changed.territory_code', 'changed.reference_date') }}
    )
    and not exists (
        select 1 from {{ ref('int_territory__conversion') }} as later
        where
            later.old_code = changed.territory_code
            and changed.reference_date between later.from_date and later.to_date
    )
    and not exists (
        select 1 from {{ ref('int_territory__doubt') }} as doubt
        where doubt.territory_code = changed.territory_code and changed.reference_date <= doubt.to_date
    ) as is_ahead
from changed
