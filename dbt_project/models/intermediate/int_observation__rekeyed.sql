{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
    meta={'rules': ['territory', 'measures', 'corrections']},
) }}
-- depends_on: {{ ref('int_delivery__contents') }} {{ ref('int_rule__digest') }} {{ ref('int_delivery__vintages') }}

-- Offices keep booking under keys that have died. Where all of the dead units went wholly into one that is valid at the
-- reference date, the number is also known under the valid key - unless that key has a number of its own. The same holds for
-- numbers a correction takes from a wrong key.
{% set group_columns = ['measure_code', 'period_code', 'nationality', 'sex', 'age_band', 'category'] %}
with parts as (
    select
        lineage.new_code as territory_code,
        {% for column in group_columns %}
        observed.{{ column }},
        {% endfor %}
        observed.dataset_id,
        observed.value,
        observed.obs_status,
        observed.conf_status,
        observed.delivery_id,
        observed.known_from,
        observed.known_until,
        null::text as correction_id
    from {{ ref('int_observation__known') }} as observed
    inner join {{ ref('int_period__parsed') }} as period
        on observed.period_code = period.period_code
    inner join {{ ref('int_territory__lineage') }} as lineage
        on {{ booked_under_dead_key('observed', 'period', 'lineage') }}
    inner join {{ ref('measures') }} as measure
        on observed.measure_code = measure.measure_code
    where
        measure.is_additive_over_territory
        and not {{ says_nothing('observed') }}
        {% if is_incremental() %}
            and {{ in_stale('observed.measure_code', 'observed.period_code') }}
        {% endif %}
    union all
    select
        observed.moved_to_code,
        {% for column in group_columns %}
        observed.{{ column }},
        {% endfor %}
        observed.dataset_id,
        observed.moved_value,
        observed.moved_obs_status,
        observed.moved_conf_status,
        observed.delivery_id,
        observed.known_from,
        observed.known_until,
        observed.correction_id
    from {{ ref('int_observation__known') }} as observed
    where
        observed.moved_to_code is not null
        {% if is_incremental() %}
            and {{ in_stale('observed.measure_code', 'observed.period_code') }}
        {% endif %}
),

sums as (
    select
        parts.territory_code,
        {% for column in group_columns %}
        parts.{{ column }},
        {% endfor %}
        parts.dataset_id,
        vintage.known_from,
        vintage.known_until,
        {{ sum_or_blocked('parts.value') }} as value,
        {{ combined_obs_status('parts.value', 'parts.obs_status', 'parts.conf_status') }} as obs_status,
        {{ combined_conf_status('parts.conf_status') }} as conf_status,
        max(parts.delivery_id) as delivery_id,
        case when max(parts.correction_id) is null then 'exact_sum' else 'moved_key' end as territorial_method,
        max(parts.correction_id) as correction_id
    from parts
    {{ at_vintages('parts') }}
    group by
        parts.territory_code,
        {% for column in group_columns %}
        parts.{{ column }},
        {% endfor %}
        parts.dataset_id, vintage.known_from, vintage.known_until
)

select sums.*
from sums
left join {{ ref('int_observation__known') }} as own
    on
        {% for column in key_columns() + ['dataset_id'] %}
        sums.{{ column }} = own.{{ column }}
        and {% endfor %}{{ holds_at('own', 'sums.known_from') }}
        {% if is_incremental() %}
        and {{ in_stale('own.measure_code', 'own.period_code') }}
        {% endif %}
where own.territory_code is null or (own.value is null and sums.value is not null)
