{{ config(materialized='view') }}

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
    order by
        {% for column in key_columns() %}
        candidate.{{ column }},
        {% endfor %}
        coalesce(bases_ahead.counted_as, candidate.territorial_basis), vintage.known_from,
        {{ says_nothing_ahead('candidate') }}, candidate.is_derived, candidate.source_priority, candidate.dataset_id
)

select
    {{ (key + values) | join(',\n    ') }},
    known_from,
    known_until
from {{ ref('int_observation__candidates') }}
where
    (measure_code, period_code) not in (select contested.measure_code, contested.period_code from contested)
union all
{{ merge_equal_neighbours('chosen', key, values) }}
