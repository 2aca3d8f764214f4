{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    correction_id,
    {{ surrogate_key(['dataset_id']) }} as dataset_key,
    {{ surrogate_key(['measure_code']) }} as measure_key,
    dataset_id,
    measure_code,
    territory_code,
    period_code,
    nationality,
    sex,
    age_band,
    category,
    action,
    to_territory_code,
    from_value,
    to_value,
    reason_de,
    office as office_name,
    reported_at,
    status
from {{ ref('corrections') }}
