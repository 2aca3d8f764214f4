{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    unlogged=true,
    post_hook='analyze {{ this }}',
    indexes=[{'columns': ['delivery_id']}],
) }}

-- Which population groups a delivery speaks of. Asked of new deliveries only, so that no build reads the history for it.
select
    unioned.delivery_id,
    unioned.nationality,
    unioned.sex,
    unioned.age_band
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
group by unioned.delivery_id, unioned.nationality, unioned.sex, unioned.age_band
