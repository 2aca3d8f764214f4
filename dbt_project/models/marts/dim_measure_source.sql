{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    measure_code,
    dataset_id,
    priority,
    rationale
from {{ ref('measure_sources') }}
