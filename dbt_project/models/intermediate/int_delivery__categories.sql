{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    unlogged=true,
    post_hook='{{ analyze_if_due() }}',
    indexes=[{'columns': ['delivery_id']}],
) }}

-- Which categories a delivery speaks of and what it calls them. Asked of new deliveries only, see int_delivery__groups.
-- depends_on: {{ ref('int_delivery__counted') }}
select
    unioned.delivery_id,
    unioned.category as category_code,
    max(unioned.known_from) as known_from,
    max(unioned.category_name) as category_name
from {{ ref('int_observation__unioned') }} as unioned
{% if is_incremental() %}
    where unioned.delivery_id in (select waiting.delivery_id from ({{ waiting_deliveries() }}) as waiting)
{% endif %}
group by unioned.delivery_id, unioned.category
