{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    {{ surrogate_key(['measure_code']) }} as measure_key,
    {{ surrogate_key(['dataset_id']) }} as dataset_key,
    measure_code,
    dataset_id,
    priority,
    rationale
from {{ ref('measure_sources') }}
