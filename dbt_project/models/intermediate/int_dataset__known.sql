{{ config(materialized='view') }}

-- Every dataset somebody may ask for: under contract, delivered some time, or named as a source of a measure.
with known as (
    select dataset_id from {{ source('ops', 'dataset') }}
    union
    select dataset_id from {{ source('ops', 'delivery') }}
    union
    select dataset_id from {{ ref('measure_sources') }}
)

select
    dataset_id,
    split_part(dataset_id, '__', 1) as agency_code
from known
