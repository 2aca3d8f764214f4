{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    indexes=[{'columns': ['county_code']}, {'columns': ['territory_code', 'covers_from', 'covers_to']}],
) }}

-- Keys that are delivered but stand in no register appear too, with the name the office wrote beside them.
with official as (
    select
        span.territory_code,
        span.territory_name,
        validity.level,
        span.valid_from,
        span.valid_to,
        span.covers_from,
        span.covers_to,
        validity.state_code,
        validity.county_code,
        span.text_code,
        coalesce(span.text_code in ('65', '66'), false) as is_unincorporated,
        span.ars,
        span.population,
        span.population_date
    from {{ ref('int_territory__span') }} as span
    inner join (
        select distinct
            territory_code,
            level,
            state_code,
            county_code
        from {{ ref('int_territory__validity') }}
    ) as validity
        on span.territory_code = validity.territory_code
),

united as (
    select
        *,
        true as is_official
    from official
    union all
    select
        delivered.territory_code,
        coalesce(delivered.territory_name_delivered, delivered.territory_code),
        {{ territory_level('delivered.territory_code') }},
        date '1900-01-01',
        null,
        date '0001-01-01',
        date '9999-12-31',
        case when delivered.territory_code <> 'DG' then left(delivered.territory_code, 2) end,
        case when length(delivered.territory_code) >= 5 then left(delivered.territory_code, 5) end,
        null,
        false,
        null,
        null,
        null,
        false
    from {{ ref('int_territory__delivered') }} as delivered
    where delivered.territory_code not in (select official.territory_code from official)
),

links as (
    select
        old_code as territory_code,
        effective_date,
        null as predecessor,
        new_code as successor,
        is_whole_unit_merger
    from {{ ref('int_territory__succession') }}
    where old_code <> new_code
    union all
    select
        new_code,
        effective_date,
        old_code,
        null,
        is_whole_unit_merger
    from {{ ref('int_territory__succession') }}
    where old_code <> new_code
),

-- What had gone into the unit by the beginning of the span, and what it went into afterwards.
lineage as (
    select
        official.territory_code,
        official.valid_from,
        array_agg(distinct links.predecessor order by links.predecessor) filter (
            where links.predecessor is not null and links.effective_date <= official.valid_from
        ) as predecessors,
        array_agg(distinct links.successor order by links.successor) filter (
            where links.successor is not null and links.effective_date > official.valid_from
        ) as successors,
        bool_or(
            links.is_whole_unit_merger
            and (links.predecessor is not null) = (links.effective_date <= official.valid_from)
        ) as is_whole_unit_merger
    from official
    inner join links on official.territory_code = links.territory_code
    group by official.territory_code, official.valid_from
),

sized as (
    select
        *,
        {{ size_class('level', 'population', 'is_unincorporated') }} as size_class_code
    from united
)

select
    {{ surrogate_key(['sized.territory_code', 'sized.valid_from::text']) }} as territory_key,
    sized.territory_code,
    sized.territory_name,
    sized.level,
    sized.valid_from,
    sized.valid_to,
    sized.valid_to is null as is_current,
    sized.state_code,
    state.territory_name as state_name,
    sized.county_code,
    county.territory_name as county_name,
    sized.text_code,
    case sized.text_code
        when '41' then 'Kreisfreie Stadt'
        when '42' then 'Stadtkreis'
        when '43' then 'Kreis'
        when '44' then 'Landkreis'
        when '45' then 'Regionalverband'
        when '50' then 'Verbandsfreie Gemeinde'
        when '51' then 'Amt'
        when '52' then 'Samtgemeinde'
        when '53' then 'Verbandsgemeinde'
        when '54' then 'Verwaltungsgemeinschaft'
        when '55' then 'Kirchspielslandgemeinde'
        when '56' then 'Verwaltungsverband'
        when '57' then 'VG Trägermodell'
        when '58' then 'Erfüllende Gemeinde'
        when '60' then 'Markt'
        when '61' then 'Kreisfreie Stadt'
        when '62' then 'Stadtkreis'
        when '63' then 'Stadt'
        when '64' then 'Kreisangehörige Gemeinde'
        when '65' then 'Gemeindefreies Gebiet, bewohnt'
        when '66' then 'Gemeindefreies Gebiet, unbewohnt'
        when '67' then 'Große Kreisstadt'
    end as unit_type_de,
    sized.is_unincorporated,
    sized.ars,
    coalesce(lineage.predecessors, array[]::text[]) as predecessors,
    coalesce(lineage.successors, array[]::text[]) as successors,
    coalesce(lineage.is_whole_unit_merger, false) as is_whole_unit_merger,
    sized.is_official,
    sized.covers_from,
    sized.covers_to,
    sized.population::bigint as population,
    case when sized.population is not null then sized.population_date end as population_date,
    sized.size_class_code,
    case sized.size_class_code
        when '1' then 'unter 5.000 Einwohner'
        when '2' then '5.000 bis unter 10.000 Einwohner'
        when '3' then '10.000 bis unter 20.000 Einwohner'
        when '4' then '20.000 bis unter 50.000 Einwohner'
        when '5' then '50.000 bis unter 100.000 Einwohner'
        when '6' then '100.000 und mehr Einwohner'
    end as size_class_de,
    case sized.size_class_code
        when '1' then 'under 5,000 inhabitants'
        when '2' then '5,000 to under 10,000 inhabitants'
        when '3' then '10,000 to under 20,000 inhabitants'
        when '4' then '20,000 to under 50,000 inhabitants'
        when '5' then '50,000 to under 100,000 inhabitants'
        when '6' then '100,000 and more inhabitants'
    end as size_class_en
from sized
left join lineage
    on sized.territory_code = lineage.territory_code and sized.valid_from = lineage.valid_from
-- as they were called when the span ended
left join united as state
    on
        sized.state_code = state.territory_code
        and coalesce(sized.valid_to, date '9999-12-31') between state.covers_from and state.covers_to
left join united as county
    on
        sized.county_code = county.territory_code
        and coalesce(sized.valid_to, date '9999-12-31') between county.covers_from and county.covers_to
