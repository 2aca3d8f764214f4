{{ config(materialized='view') }}

select
    indicator_key,
    period_key,
    territory_key,
    population_group_key,
    category_key,
    territorial_basis,
    known_from,
    value,
    numerator,
    denominator,
    numerator_period_code,
    denominator_period_code,
    numerator_dataset_id,
    denominator_dataset_id,
    numerator_delivery_id,
    denominator_delivery_id,
    wilson_low,
    wilson_high,
    is_small_number,
    territorial_method,
    obs_status,
    conf_status,
    null_reason
from {{ ref('fct_indicator_vintage') }}
where known_until is null
