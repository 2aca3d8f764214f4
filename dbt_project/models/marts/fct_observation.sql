{{ config(materialized='view') }}

select
    measure_key,
    period_key,
    territory_key,
    population_group_key,
    category_key,
    territorial_basis,
    known_from,
    value,
    obs_status,
    conf_status,
    territorial_method,
    territorial_factor,
    is_derived,
    dataset_key,
    delivery_id,
    row_number,
    column_number,
    correction_id
from {{ ref('fct_observation_vintage') }}
where known_until is null
