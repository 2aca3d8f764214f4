{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code', 'territory_code']}],
    post_hook=['{{ remember_partitions() }}', 'analyze {{ this }}'],
) }}
-- depends_on: {{ ref('int_delivery__contents') }}

-- The latest accepted vintage of every number, dataset by dataset. A later delivery that no longer mentions a number
-- leaves the earlier one standing: offices deliver single years and corrections, not their whole history.
select distinct on ({{ key_columns() | join(', ') }}, dataset_id)
    {{ observation_columns() | join(',\n    ') }}
from {{ ref('int_observation__unioned') }}
{% if is_incremental() %}
    where {{ in_stale('measure_code', 'period_code') }}
{% endif %}
order by {{ key_columns() | join(', ') }}, dataset_id, known_from desc, delivery_id desc
