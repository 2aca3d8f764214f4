{{ config(materialized='incremental', incremental_strategy='replace', indexes=[{'columns': ['county_code']}]) }}

-- Keys that are delivered but stand in no register appear too, with the name the office wrote beside them.
with delivered as (
    select distinct on (territory_code)
        territory_code,
        territory_name_delivered
    from {{ ref('int_territory__delivered') }}
    order by territory_code, known_from desc, territory_name_delivered
),

united as (
    select
        validity.territory_code,
        validity.territory_name,
        validity.level,
        validity.valid_from,
        validity.valid_to,
        validity.state_code,
        validity.county_code,
        validity.text_code,
        validity.unit_type_de,
        validity.is_unincorporated,
        validity.ars,
        validity.predecessors,
        validity.successors,
        validity.is_whole_unit_merger,
        true as is_official
    from {{ ref('int_territory__validity') }} as validity
    union all
    select
        delivered.territory_code,
        coalesce(delivered.territory_name_delivered, delivered.territory_code),
        case
            when delivered.territory_code = 'DG' then 'country'
            when length(delivered.territory_code) = 2 then 'state'
            when length(delivered.territory_code) <= 4 then 'region'
            when length(delivered.territory_code) = 5 then 'county'
            when length(delivered.territory_code) = 8 then 'municipality'
            else 'association'
        end,
        date '1900-01-01',
        null::date,
        case when delivered.territory_code <> 'DG' then left(delivered.territory_code, 2) end,
        case when length(delivered.territory_code) >= 5 then left(delivered.territory_code, 5) end,
        null,
        null,
        false,
        null,
        array[]::text[],
        array[]::text[],
        false,
        false
    from delivered
    where
        delivered.territory_code not in (
            select validity.territory_code from {{ ref('int_territory__validity') }} as validity
        )
)

select
    {{ surrogate_key(['united.territory_code', 'united.valid_from::text']) }} as territory_key,
    date '0001-01-01' as covers_from,
    date '9999-12-31' as covers_to,
    united.territory_code,
    united.territory_name,
    united.level,
    united.valid_from,
    united.valid_to,
    united.valid_to is null as is_current,
    united.state_code,
    state.territory_name as state_name,
    united.county_code,
    county.territory_name as county_name,
    united.text_code,
    united.unit_type_de,
    null::text as size_class_code,
    united.is_unincorporated,
    united.ars,
    united.predecessors,
    united.successors,
    united.is_whole_unit_merger,
    united.is_official
from united
left join united as state
    on united.state_code = state.territory_code
left join united as county
    on united.county_code = county.territory_code
