{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    unlogged=true,
    post_hook='{{ analyze_if_due() }}',
    indexes=[{'columns': ['delivery_id']}],
) }}

-- Under which keys of municipalities a delivery has numbers, other than none: who has one was there. A register says that itself.
-- Asked of new deliveries only, see int_delivery__groups.
-- depends_on: {{ ref('int_delivery__counted') }}
select distinct
    unioned.delivery_id,
    unioned.period_code,
    unioned.territory_code
from {{ ref('int_observation__unioned') }} as unioned
where
    length(unioned.territory_code) = 8
    and unioned.dataset_id <> 'register__municipalities'
    and unioned.value is distinct from 0
    and not {{ says_nothing('unioned') }}
    {% if is_incremental() %}
    and unioned.delivery_id in (select waiting.delivery_id from ({{ waiting_deliveries() }}) as waiting)
    {% endif %}
