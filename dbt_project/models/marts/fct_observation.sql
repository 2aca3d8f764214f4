{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    indexes=[{'columns': ['territory_code', 'measure_code', 'period_code']}],
    post_hook=['{{ remember_partitions() }}', 'analyze {{ this }}'],
    meta={'rules': ['territory', 'measures', 'age_bands', 'measure_sources']},
) }}
-- depends_on: {{ ref('int_delivery__contents') }} {{ ref('int_rule__digest') }}

-- One answer per number: delivered before derived, then the authoritative dataset.
select distinct on ({{ key_columns() | join(', ') }})
    {{ key_columns() | join(', ') }},
    value,
    obs_status,
    conf_status,
    territorial_method,
    is_derived,
    dataset_id,
    delivery_id,
    row_number,
    column_number,
    known_from,
    category_name
from {{ ref('int_observation__candidates') }}
{% if is_incremental() %}
    where {{ in_stale('measure_code', 'period_code') }}
{% endif %}
order by {{ key_columns() | join(", ") }}, is_derived, source_priority, dataset_id
