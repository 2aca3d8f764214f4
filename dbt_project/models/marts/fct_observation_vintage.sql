{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_key', 'period_key'],
    unlogged=true,
    indexes=[{'columns': ['territory_key', 'period_key']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ create_observation_as_of() }}', '{{ analyze_if_due() }}'],
    meta={
        'part_key': 'measure_key',
        'rules': ['territory', 'measures', 'age_bands', 'measure_sources', 'listings', 'corrections'],
    },
) }}
-- depends_on: {{ ref('int_rule__digest') }} {{ ref('int_delivery__contents') }}

-- The chosen numbers with the keys of the star: per basis and time of knowledge one row.
select
    measure.measure_key,
    period.period_key,
    territory.territory_key,
    population_group.population_group_key,
    category.category_key,
    chosen.territorial_basis,
    chosen.known_from,
    chosen.known_until,
    chosen.value,
    chosen.obs_status,
    chosen.conf_status,
    chosen.territorial_method,
    chosen.territorial_factor,
    chosen.is_derived,
    dataset.dataset_key,
    chosen.delivery_id,
    chosen.row_number,
    chosen.column_number,
    chosen.correction_id
from {{ ref('int_observation__chosen') }} as chosen
{{ with_keys('chosen') }}
{% if is_incremental() %}
where {{ in_stale('chosen.measure_code', 'chosen.period_code') }}
{% endif %}
