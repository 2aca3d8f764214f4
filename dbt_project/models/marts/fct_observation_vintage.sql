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

-- One answer per number, basis and time of knowledge: delivered before derived, then the authoritative dataset.
-- Where one delivery alone speaks about a measure and period there is nothing to choose, and nothing to sort.
{% set key = key_columns() + ['territorial_basis'] %}
{% set values = [
    'value', 'obs_status', 'conf_status', 'territorial_method', 'territorial_factor', 'is_derived', 'dataset_id',
    'delivery_id', 'row_number', 'column_number', 'correction_id',
] %}
with contested as materialized (
    select
        measure_code,
        period_code
    from {{ ref('int_delivery__contents') }}
    group by measure_code, period_code
    having count(*) > 1 or bool_or(known_until is not null)
),

bases_ahead as materialized (
    {{ bases_of_units_ahead() }}
),

chosen as (
    select distinct on (
        {% for column in key_columns() %}
        candidate.{{ column }},
        {% endfor %}
        coalesce(bases_ahead.counted_as, candidate.territorial_basis), vintage.known_from
    )
        {% for column in key + values %}
        {{ 'coalesce(bases_ahead.counted_as, candidate.territorial_basis) as territorial_basis'
            if column == 'territorial_basis' else 'candidate.' ~ column }},
        {% endfor %}
        vintage.known_from,
        vintage.known_until
    from {{ ref('int_observation__candidates') }} as candidate
    inner join {{ ref('int_delivery__vintages') }} as vintage
        on
            candidate.measure_code = vintage.measure_code
            and candidate.period_code = vintage.period_code
            and vintage.dataset_id = '*'
            and {{ holds_at('candidate', 'vintage.known_from') }}
    {{ contending_bases('candidate') }}
    where
        (candidate.measure_code, candidate.period_code) in (
            select contested.measure_code, contested.period_code from contested
        )
        {% if is_incremental() %}
        and {{ in_stale('candidate.measure_code', 'candidate.period_code') }}
        {% endif %}
    order by
        {% for column in key_columns() %}
        candidate.{{ column }},
        {% endfor %}
        coalesce(bases_ahead.counted_as, candidate.territorial_basis), vintage.known_from,
        {{ says_nothing_ahead('candidate') }}, candidate.is_derived, candidate.source_priority, candidate.dataset_id
),

resolved as (
    select
        {{ (key + values) | join(',\n        ') }},
        known_from,
        known_until
    from {{ ref('int_observation__candidates') }}
    where
        (measure_code, period_code) not in (select contested.measure_code, contested.period_code from contested)
        {% if is_incremental() %}
        and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
    union all
    {{ merge_equal_neighbours('chosen', key, values) }}
)

select
    measure.measure_key,
    period.period_key,
    territory.territory_key,
    population_group.population_group_key,
    category.category_key,
    resolved.territorial_basis,
    resolved.known_from,
    resolved.known_until,
    resolved.value,
    resolved.obs_status,
    resolved.conf_status,
    resolved.territorial_method,
    resolved.territorial_factor,
    resolved.is_derived,
    dataset.dataset_key,
    resolved.delivery_id,
    resolved.row_number,
    resolved.column_number,
    resolved.correction_id
from resolved
{{ with_keys('resolved') }}
