{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    {{ surrogate_key(['dataset_id']) }} as dataset_key,
    {{ surrogate_key(['measure_code']) }} as measure_key,
    dataset_id,
    measure_code,
    excluded_category,
    reason
from {{ ref('listings') }}
