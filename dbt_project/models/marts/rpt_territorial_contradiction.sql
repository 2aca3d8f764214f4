{{ config(materialized='incremental', incremental_strategy='replace') }}

-- What an official list of changes says against itself, against the register or against another list: a finding for the county's
-- own people. The unit is not converted over that day; nothing else waits for it.
with contradictory as (
    select
        old_code as territory_code,
        effective_date,
        reason,
        null::text as other_code,
        sum(population) as listed_population,
        sum(population) filter (where new_code <> old_code) as moved_population,
        sum(area_m2) as listed_area_m2,
        sum(area_m2) filter (where new_code <> old_code) as moved_area_m2
    from {{ ref('int_territory__change') }}
    where reason in ('more_than_there_was', 'not_as_in_register', 'circle')
    group by old_code, effective_date, reason
    union all
    select
        succession.old_code,
        succession.effective_date,
        'not_there',
        min(needed.territory_code),
        null,
        null,
        null,
        null
    from {{ ref('int_territory__succession') }} as succession
    cross join lateral (
        values
        (succession.old_code, succession.effective_date - 1),
        (succession.new_code, succession.effective_date)
    ) as needed (territory_code, day)
    where
        succession.level in ('municipality', 'county')
        and succession.kind <> 'unknown'
        and needed.territory_code is not null
        and not exists (
            select 1 from {{ ref('int_territory__validity') }} as unit
            where {{ valid_on('unit', 'needed.territory_code', 'needed.day') }}
        )
    group by succession.old_code, succession.effective_date
),

listed as (
    select
        old_code as territory_code,
        statistical_date as effective_date,
        string_agg(distinct change_id, ', ' order by change_id) as change_ids,
        max(delivery_id) as delivery_id
    from {{ ref('stg_register__territorial_changes') }}
    group by old_code, statistical_date
)

select
    contradictory.territory_code,
    unit.territory_name,
    contradictory.effective_date,
    contradictory.reason,
    contradictory.other_code,
    listed.delivery_id,
    listed.change_ids,
    contradictory.listed_population::bigint as listed_population,
    contradictory.moved_population::bigint as moved_population,
    contradictory.listed_area_m2::numeric as listed_area_m2,
    contradictory.moved_area_m2::numeric as moved_area_m2,
    edition.edition_date as register_date,
    edition.population::bigint as register_population,
    (edition.area_km2 * 1000000)::numeric as register_area_m2
from contradictory
left join listed
    on
        contradictory.territory_code = listed.territory_code
        and contradictory.effective_date = listed.effective_date
left join {{ ref('dim_territory') }} as unit
    on
        contradictory.territory_code = unit.territory_code
        and contradictory.effective_date - 1 between unit.covers_from and unit.covers_to
left join lateral (
    select
        latest.edition_date,
        latest.population,
        latest.area_km2
    from {{ ref('int_territory__edition') }} as latest
    where
        latest.territory_code = contradictory.territory_code
        and latest.edition_date < contradictory.effective_date
    order by latest.edition_date desc
    limit 1
) as edition on true
