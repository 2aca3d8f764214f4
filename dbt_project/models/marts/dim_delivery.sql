{{ config(materialized='incremental', incremental_strategy='replace') }}

-- Who handed a file in stays in ops: an address may be a person's.
select
    delivery_id,
    dataset_id,
    split_part(dataset_id, '__', 1) as agency_code,
    file_name,
    sha256,
    size_bytes,
    received_at,
    received_at as known_from,
    source,
    state,
    state = 'loaded' as is_accepted,
    layout,
    row_count,
    loaded_at,
    case when state = 'withdrawn' then state_at end as withdrawn_at,
    withdrawal_reason,
    is_demo,
    {{ surrogate_key(['dataset_id']) }} as dataset_key,
    {{ surrogate_key(["split_part(dataset_id, '__', 1)"]) }} as agency_key
from {{ source('ops', 'delivery') }}
