{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    measure_code,
    name_de,
    name_en,
    unit,
    behaviour,
    is_additive_over_territory,
    is_additive_over_groups,
    description
from {{ ref('measures') }}
