{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    unlogged=true,
    post_hook='{{ analyze_if_due() }}',
    indexes=[{'columns': ['delivery_id']}],
) }}

-- Of which areas a delivery speaks: the county (or state) its keys begin with, by level. Asked of new deliveries only, see
-- int_delivery__groups.
-- depends_on: {{ ref('int_delivery__counted') }}
select
    unioned.delivery_id,
    unioned.measure_code,
    unioned.period_code,
    {{ area_code('unioned.territory_code') }} as area_code
from {{ ref('int_observation__unioned') }} as unioned
{% if is_incremental() %}
    where unioned.delivery_id in (select waiting.delivery_id from ({{ waiting_deliveries() }}) as waiting)
{% endif %}
group by unioned.delivery_id, unioned.measure_code, unioned.period_code, {{ area_code('unioned.territory_code') }}
