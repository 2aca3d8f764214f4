{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    {{ surrogate_key(['measure_code']) }} as measure_key,
    measure_code,
    name_de,
    name_en,
    unit,
    behaviour,
    is_additive_over_territory,
    is_additive_over_groups,
    description
from {{ ref('measures') }}
