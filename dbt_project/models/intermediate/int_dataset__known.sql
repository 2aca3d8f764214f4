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
    known.dataset_id,
    split_part(known.dataset_id, '__', 1) as agency_code,
    contract.number_deviation
from known
left join {{ source('ops', 'dataset') }} as contract
    on known.dataset_id = contract.dataset_id
