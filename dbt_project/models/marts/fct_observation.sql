{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    indexes=[{'columns': ['territory_code', 'measure_code']}],
    post_hook=['{{ remember_partitions() }}'],
) }}
-- depends_on: {{ ref('int_delivery__contents') }}

select distinct on ({{ key_columns() | join(', ') }})
    {{ key_columns() | join(', ') }},
    value,
    obs_status,
    conf_status,
    'as_delivered' as territorial_method,
    dataset_id,
    delivery_id,
    row_number,
    column_number,
    known_from,
    category_name
from {{ ref('int_observation__current') }}
{% if is_incremental() %}
    where {{ in_stale('measure_code', 'period_code') }}
{% endif %}
order by {{ key_columns() | join(', ') }}, known_from desc
