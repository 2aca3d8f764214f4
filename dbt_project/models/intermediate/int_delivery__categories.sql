{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    unlogged=true,
    post_hook='analyze {{ this }}',
    indexes=[{'columns': ['delivery_id']}],
) }}

-- Which categories a delivery speaks of and what it calls them. Asked of new deliveries only, see int_delivery__groups.
select
    unioned.delivery_id,
    unioned.category as category_code,
    max(unioned.known_from) as known_from,
    max(unioned.category_name) as category_name
from {{ ref('int_observation__unioned') }} as unioned
{% if is_incremental() %}
    where
        unioned.delivery_id in (
            select delivery.delivery_id
            from {{ source('ops', 'delivery') }} as delivery
            where
                delivery.state = 'loaded'
                and not exists (select 1 from {{ this }} as built where built.delivery_id = delivery.delivery_id)
        )
{% endif %}
group by unioned.delivery_id, unioned.category
