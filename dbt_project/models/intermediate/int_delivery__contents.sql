{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    unlogged=true,
    post_hook='{{ analyze_if_due() }}',
    indexes=[{'columns': ['delivery_id']}],
) }}

select
    unioned.delivery_id,
    unioned.dataset_id,
    unioned.measure_code,
    unioned.period_code,
    unioned.known_from,
    count(*) as row_count
from {{ ref('int_observation__unioned') }} as unioned
{% if is_incremental() %}
    where unioned.delivery_id in (select waiting.delivery_id from ({{ waiting_deliveries() }}) as waiting)
{% endif %}
group by unioned.delivery_id, unioned.dataset_id, unioned.measure_code, unioned.period_code, unioned.known_from
