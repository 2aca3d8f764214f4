{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    indexes=[{'columns': ['territory_code', 'measure_code', 'period_code']}],
    pre_hook='alter table if exists {{ this }} drop constraint if exists fct_observation_territorial_method_check',
    post_hook=['{{ remember_partitions() }}', 'analyze {{ this }}'],
    meta={'rules': ['territory', 'measures', 'age_bands', 'measure_sources', 'listings', 'corrections']},
) }}
-- depends_on: {{ ref('int_rule__digest') }}

-- One answer per number: delivered before derived, then the authoritative dataset.
-- Where one dataset alone speaks about a measure and period there is nothing to choose, and nothing to sort.
{% set columns = key_columns() + [
    'value', 'obs_status', 'conf_status', 'territorial_method', 'is_derived', 'dataset_id', 'delivery_id', 'row_number',
    'column_number', 'known_from', 'category_name', 'correction_id',
] %}
with contested as materialized (
    select
        measure_code,
        period_code
    from {{ ref('int_delivery__contents') }}
    group by measure_code, period_code
    having count(distinct dataset_id) > 1
)

select
    {{ columns | join(',\n    ') }}
from {{ ref('int_observation__candidates') }}
where
    (measure_code, period_code) not in (select contested.measure_code, contested.period_code from contested)
    {% if is_incremental() %}
    and {{ in_stale('measure_code', 'period_code') }}
    {% endif %}
union all
(
    select distinct on ({{ key_columns() | join(', ') }})
        {{ columns | join(',\n        ') }}
    from {{ ref('int_observation__candidates') }}
    where
        (measure_code, period_code) in (select contested.measure_code, contested.period_code from contested)
        {% if is_incremental() %}
        and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
    order by {{ key_columns() | join(', ') }}, is_derived, source_priority, dataset_id
)
