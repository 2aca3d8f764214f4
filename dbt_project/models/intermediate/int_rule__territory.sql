{{ config(
    materialized='table',
    unlogged=true,
    post_hook='analyze {{ this }}',
    pre_hook='{{ join_by_hashing() }}',
) }}

-- Per partition (measure and period): fingerprint of all that is known of the territories its numbers can reach. So a register or
-- a list makes stale what it touches, and nothing else.
-- Reached are the areas delivered, those a number is booked or converted into, the counties their municipalities add up to, and
-- the state where municipalities of all its counties are there. Of each area counts what is true on the day and in the chosen
-- state, not when it began or will end: what a list says of other years changes nothing.
-- The day is the reference date of the period (`for_period_code`). A numerator stands for a unit as it is at the end of its
-- result's period: what it is made of has one more row for each of those.
with recursive asked as materialized (
    select distinct
        measure_code,
        period_code,
        period_code as for_period_code
    from {{ ref('int_delivery__contents') }}
    union
    select
        measure_code,
        cell_period_code,
        period_code
    from {{ ref('int_indicator__periods') }}
    where role = 'numerator'
),

dated as materialized (
    select distinct
        asked.measure_code,
        asked.period_code,
        period.reference_date as day
    from asked
    inner join {{ ref('int_period__parsed') }} as period
        on asked.for_period_code = period.period_code
),

delivered as materialized (
    select
        measure_code,
        period_code,
        area_code
    from {{ ref('int_delivery__areas') }}
    union
    select
        measure_code,
        period_code,
        {{ area_code('to_territory_code') }}
    from {{ ref('corrections') }}
    where to_territory_code is not null
),

days as materialized (
    select distinct day from dated
),

-- what leads from key to key on a day
links as materialized (
    select
        days.day,
        lineage.old_code,
        lineage.new_code,
        concat_ws(' ', 'booked', lineage.old_code, lineage.new_code) as said
    from days
    inner join {{ ref('int_territory__lineage') }} as lineage
        on
            days.day between greatest(lineage.dead_from, lineage.new_valid_from)
            and coalesce(lineage.new_valid_to, date '9999-12-31')
    union all
    select
        days.day,
        conversion.old_code,
        conversion.new_code,
        concat_ws(
            ' ', 'converted', conversion.old_code, coalesce(conversion.new_code, '-'), conversion.method,
            conversion.factor, days.day < conversion.ends_on, unit.territory_code is not null
        )
    from days
    inner join {{ ref('int_territory__conversion') }} as conversion
        on days.day between conversion.from_date and conversion.to_date
    left join {{ ref('int_territory__validity') }} as unit
        on {{ valid_on('unit', 'conversion.old_code', 'days.day') }}
),

leads as materialized (
    select distinct
        day,
        {{ area_code('old_code') }} as area_code,
        {{ area_code('new_code') }} as into_area_code
    from links
    where new_code is not null and {{ area_code('old_code') }} <> {{ area_code('new_code') }}
),

reached as (
    select
        dated.measure_code,
        dated.period_code,
        dated.day,
        delivered.area_code
    from dated
    inner join delivered
        on dated.measure_code = delivered.measure_code and dated.period_code = delivered.period_code
    union
    select
        reached.measure_code,
        reached.period_code,
        reached.day,
        leads.into_area_code
    from reached
    inner join leads
        on reached.day = leads.day and reached.area_code = leads.area_code
),

areas as materialized (
    select * from reached
    union
    select
        reached.measure_code,
        reached.period_code,
        reached.day,
        {{ area_code('target.territory_code') }}
    from reached
    cross join lateral (
        values (left(reached.area_code, 5)), (left(reached.area_code, 2))
    ) as target (territory_code)
    where right(reached.area_code, 1) = '8'
),

needed as materialized (
    select distinct
        day,
        area_code
    from areas
),

units as materialized (
    select
        {{ area_code('territory_code') }} as area_code,
        territory_code,
        level,
        is_unincorporated,
        is_in_register,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from {{ ref('int_territory__validity') }}
),

spans as materialized (
    select
        {{ area_code('span.territory_code') }} as area_code,
        span.territory_code,
        span.valid_from,
        span.covers_from,
        span.covers_to,
        span.text_code,
        {{ size_class('unit.level', 'span.population', "coalesce(span.text_code in ('65', '66'), false)") }}
            as size_class_code
    from {{ ref('int_territory__span') }} as span
    inner join (select distinct territory_code, level from {{ ref('int_territory__validity') }}) as unit
        on span.territory_code = unit.territory_code
),

said as (
    select
        links.day,
        area.area_code,
        links.said
    from links
    cross join lateral (
        select {{ area_code('links.old_code') }}
        union
        select {{ area_code('links.new_code') }} where links.new_code is not null
    ) as area (area_code)
    union all
    select
        reference_date,
        {{ area_code('territory_code') }},
        concat_ws(' ', 'changed', territory_code, is_ahead)
    from {{ ref('int_territory__changed') }}
    union all
    select
        days.day,
        {{ area_code('doubt.territory_code') }},
        'doubtful ' || doubt.territory_code
    from days
    inner join {{ ref('int_territory__doubt') }} as doubt
        on days.day <= doubt.to_date
    union all
    -- who is there that day or in the state; of counties and states also who ever was
    select
        needed.day,
        needed.area_code,
        concat_ws(
            ' ', 'valid', unit.territory_code, unit.level, unit.is_unincorporated, unit.is_in_register,
            needed.day between unit.valid_from and unit.valid_to,
            {{ territorial_state() }} between unit.valid_from and unit.valid_to
        )
    from needed
    inner join units as unit
        on
            needed.area_code = unit.area_code
            and (
                unit.level <> 'municipality'
                or needed.day between unit.valid_from and unit.valid_to
                or {{ territorial_state() }} between unit.valid_from and unit.valid_to
            )
    union all
    select
        needed.day,
        needed.area_code,
        concat_ws(
            ' ', 'span', span.territory_code, span.valid_from, span.text_code, span.size_class_code,
            needed.day between span.covers_from and span.covers_to,
            {{ territorial_state() }} between span.covers_from and span.covers_to
        )
    from needed
    inner join spans as span
        on
            needed.area_code = span.area_code
            and (
                needed.day between span.covers_from and span.covers_to
                or {{ territorial_state() }} between span.covers_from and span.covers_to
            )
),

area_digests as materialized (
    select
        said.day,
        said.area_code,
        md5(string_agg(said.said, '|' order by said.said)) as digest
    from said
    inner join needed
        on said.day = needed.day and said.area_code = needed.area_code
    group by said.day, said.area_code
),

-- A state can be the sum of its municipalities only where all its counties are reached; then it matters how many there are.
counties as materialized (
    select
        county_code,
        state_code,
        range_agg(daterange(valid_from, valid_to, '[]')) as valid
    from {{ ref('int_territory__validity') }}
    where level = 'municipality' and not is_unincorporated
    group by county_code, state_code
),

states as materialized (
    select
        days.day,
        counties.state_code,
        least(
            count(*) filter (where counties.valid @> days.day),
            count(*) filter (where counties.valid @> {{ territorial_state() }})
        ) as county_count
    from days
    cross join counties
    group by days.day, counties.state_code
),

whole as materialized (
    select
        made_up.measure_code,
        made_up.period_code,
        made_up.day,
        made_up.state_code
    from (
        select
            measure_code,
            period_code,
            day,
            left(area_code, 2) as state_code,
            count(*) as county_count
        from areas
        where right(area_code, 1) = '8'
        group by measure_code, period_code, day, left(area_code, 2)
    ) as made_up
    inner join states
        on
            made_up.day = states.day
            and made_up.state_code = states.state_code
            and made_up.county_count >= states.county_count
),

counted as (
    select
        whole.day,
        whole.state_code,
        concat_ws(
            ' ', 'municipalities', whole.state_code,
            count(*) filter (where whole.day between unit.valid_from and coalesce(unit.valid_to, date '9999-12-31')),
            count(*) filter (
                where {{ territorial_state() }} between unit.valid_from and coalesce(unit.valid_to, date '9999-12-31')
            )
        ) as said
    from (select distinct day, state_code from whole) as whole
    inner join {{ ref('int_territory__validity') }} as unit
        on whole.state_code = unit.state_code and unit.level = 'municipality' and not unit.is_unincorporated
    group by whole.day, whole.state_code
),

whole_states as (
    select
        whole.measure_code,
        whole.period_code,
        whole.day,
        string_agg(counted.said, '|' order by counted.said) as said
    from whole
    inner join counted
        on whole.day = counted.day and whole.state_code = counted.state_code
    group by whole.measure_code, whole.period_code, whole.day
)

select
    asked.measure_code,
    asked.period_code,
    asked.for_period_code,
    md5(known.digests || coalesce(whole_states.said, '')) as digest
from asked
inner join {{ ref('int_period__parsed') }} as period
    on asked.for_period_code = period.period_code
inner join (
    select
        areas.measure_code,
        areas.period_code,
        areas.day,
        string_agg(areas.area_code || ' ' || area_digests.digest, ',' order by areas.area_code) as digests
    from areas
    inner join area_digests
        on areas.day = area_digests.day and areas.area_code = area_digests.area_code
    group by areas.measure_code, areas.period_code, areas.day
) as known
    on
        asked.measure_code = known.measure_code
        and asked.period_code = known.period_code
        and period.reference_date = known.day
left join whole_states
    on
        known.measure_code = whole_states.measure_code
        and known.period_code = whole_states.period_code
        and known.day = whole_states.day
