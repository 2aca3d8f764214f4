{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    indexes=[{'columns': ['delivery_id']}, {'columns': ['territory_code', 'measure_code', 'period_code']}],
    post_hook=['{{ create_observation_as_of() }}', '{{ mark_corrections() }}', 'analyze {{ this }}'],
) }}
-- depends_on: {{ ref('dim_measure_source') }} {{ ref('corrections') }}

select
    {{ key_columns() | join(', ') }},
    dataset_id,
    delivery_id,
    value,
    obs_status,
    conf_status,
    row_number,
    column_number,
    known_from,
    category_name,
    null::text as correction_id
from {{ ref('int_observation__unioned') }}
{% if is_incremental() and not is_full_refresh() %}
    where
        delivery_id in (
            select delivery.delivery_id
            from {{ source('ops', 'delivery') }} as delivery
            where
                delivery.state = 'loaded'
                and not exists (select 1 from {{ this }} as built where built.delivery_id = delivery.delivery_id)
        )
{% endif %}
