{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    unlogged=true,
    post_hook='{{ analyze_if_due() }}',
    indexes=[{'columns': ['delivery_id']}],
) }}

-- Which population groups a delivery speaks of. Asked of new deliveries only, so that no build reads the history for it.
-- depends_on: {{ ref('int_delivery__counted') }}
select
    unioned.delivery_id,
    unioned.nationality,
    unioned.sex,
    unioned.age_band
from {{ ref('int_observation__unioned') }} as unioned
{% if is_incremental() %}
    where unioned.delivery_id in (select waiting.delivery_id from ({{ waiting_deliveries() }}) as waiting)
{% endif %}
group by unioned.delivery_id, unioned.nationality, unioned.sex, unioned.age_band
