{{ config(
    materialized='table',
    unlogged=true,
    post_hook='analyze {{ this }}',
    indexes=[{'columns': ['territory_code', 'edition_date']}],
) }}

-- One row per edition of the register and unit, as the latest delivery of that edition states it.
select distinct on (edition_date, territory_code)
    territory_code,
    territory_name,
    level,
    text_code,
    ars,
    edition_date,
    population,
    population_date,
    area_km2
from {{ ref('stg_register__territories') }}
where level is not null and territory_code is not null
order by edition_date, territory_code, known_from desc, delivery_id desc, row_number
