{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_key', 'period_key'],
    unlogged=true,
    indexes=[{'columns': ['territory_key', 'period_key']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
    meta={
        'part_key': 'measure_key',
        'rules': ['territory', 'measures', 'age_bands', 'measure_sources', 'listings', 'corrections'],
    },
) }}
-- depends_on: {{ ref('int_rule__digest') }} {{ ref('int_delivery__contents') }}

-- The other side of the choice fct_observation_vintage makes: what a dataset says about a number while another one counts.
-- Indicators that keep to one dataset are made of these too, and so are sums a dataset's own parts give.
{% set key = key_columns() + ['territorial_basis', 'dataset_id'] %}
{% set values = [
    'value', 'obs_status', 'conf_status', 'territorial_method', 'territorial_factor', 'is_derived', 'delivery_id',
    'row_number', 'column_number', 'correction_id',
] %}
with contested as materialized (
    select
        measure_code,
        period_code
    from {{ ref('int_delivery__contents') }}
    group by measure_code, period_code
    having count(distinct dataset_id) > 1
),

bases_ahead as materialized (
    {{ bases_of_units_ahead() }}
),

ranked as (
    select
        {% for column in key + values %}
        {{ 'coalesce(bases_ahead.counted_as, candidate.territorial_basis) as territorial_basis'
            if column == 'territorial_basis' else 'candidate.' ~ column }},
        {% endfor %}
        vintage.known_from,
        vintage.known_until,
        row_number() over (
            partition by
                {% for column in key_columns() %}
                candidate.{{ column }},
                {% endfor %}
                coalesce(bases_ahead.counted_as, candidate.territorial_basis), vintage.known_from
            order by
                {{ says_nothing_ahead('candidate') }}, candidate.is_derived, candidate.source_priority,
                candidate.dataset_id
        ) as place,
        row_number() over (
            partition by
                {% for column in key_columns() %}
                candidate.{{ column }},
                {% endfor %}
                coalesce(bases_ahead.counted_as, candidate.territorial_basis), candidate.dataset_id, vintage.known_from
            order by {{ says_nothing_ahead('candidate') }}, candidate.is_derived, candidate.source_priority
        ) as place_in_dataset
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
),

set_aside as (
    select * from ranked
    where place > 1 and place_in_dataset = 1
),

merged as (
    {{ merge_equal_neighbours('set_aside', key, values) }}
)

select
    measure.measure_key,
    period.period_key,
    territory.territory_key,
    population_group.population_group_key,
    category.category_key,
    merged.territorial_basis,
    dataset.dataset_key,
    merged.known_from,
    merged.known_until,
    merged.value,
    merged.obs_status,
    merged.conf_status,
    merged.territorial_method,
    merged.territorial_factor,
    merged.is_derived,
    merged.delivery_id,
    merged.row_number,
    merged.column_number,
    merged.correction_id
from merged
{{ with_keys('merged') }}
