{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    unlogged=true,
    post_hook='{{ analyze_if_due() }}',
    indexes=[{'columns': ['delivery_id']}],
) }}

-- What a delivery speaks of, from when it counted and, where it no longer does, until when.
select
    unioned.delivery_id,
    unioned.dataset_id,
    unioned.measure_code,
    unioned.period_code,
    unioned.known_from,
    counted.known_until,
    count(*) as row_count
from {{ ref('int_observation__unioned') }} as unioned
inner join {{ ref('int_delivery__counted') }} as counted
    on unioned.delivery_id = counted.delivery_id
{% if is_incremental() %}
    where
        unioned.delivery_id in (
            select waiting.delivery_id from ({{ waiting_deliveries() }}) as waiting
            union
            select ended.delivery_id
            from {{ ref('int_delivery__counted') }} as ended
            inner join {{ this }} as held
                on
                    ended.delivery_id = held.delivery_id
                    -- a table from before there were ends has no such column yet
                    and ended.known_until is distinct from (to_jsonb(held) ->> 'known_until')::timestamptz
        )
{% endif %}
group by
    unioned.delivery_id, unioned.dataset_id, unioned.measure_code, unioned.period_code, unioned.known_from,
    counted.known_until
