{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='territory_code',
    unlogged=true,
    post_hook=['{{ remember_names() }}', 'analyze {{ this }}'],
) }}
-- depends_on: {{ ref('int_delivery__contents') }}

-- One row per key that is delivered, with the name the latest delivery to use it writes beside it.
with news as (
    select
        unioned.territory_code,
        unioned.delivery_id,
        unioned.known_from,
        max(unioned.territory_name_delivered) as territory_name_delivered
    from {{ ref('int_observation__unioned') }} as unioned
    {% if is_incremental() %}
        where {{ may_name('unioned') }}
    {% endif %}
    group by unioned.territory_code, unioned.delivery_id, unioned.known_from
),

known as (
    select * from news
    {% if is_incremental() %}
        union all
        select
            territory_code,
            delivery_id,
            known_from,
            territory_name_delivered
        from {{ this }}
        where
            territory_code in (select news.territory_code from news)
            and delivery_id in (select contents.delivery_id from {{ ref('int_delivery__contents') }} as contents)
    {% endif %}
)

select distinct on (territory_code)
    territory_code,
    delivery_id,
    known_from,
    territory_name_delivered
from known
order by territory_code, known_from desc, delivery_id desc
