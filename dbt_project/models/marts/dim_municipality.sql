{{ config(materialized='view') }}

select
    territory_key,
    territory_code as municipality_code,
    territory_name as municipality_name,
    unit_type_de as municipality_type_de,
    valid_from,
    valid_to,
    is_current,
    county_code,
    county_name,
    state_code,
    state_name,
    is_unincorporated,
    ars,
    predecessors,
    successors,
    is_whole_unit_merger,
    covers_from,
    covers_to,
    population,
    population_date,
    size_class_code,
    size_class_de,
    size_class_en
from {{ ref('dim_territory') }}
where level = 'municipality'
