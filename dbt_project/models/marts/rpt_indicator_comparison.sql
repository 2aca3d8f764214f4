{{ config(materialized='view') }}

select
    indicator.indicator_code,
    territory.territory_code,
    territory.territory_name,
    period.period_code,
    population_group.nationality,
    population_group.sex,
    population_group.age_band,
    category.category_code as category,
    comparison.territorial_basis,
    indicator.name_de as indicator_name_de,
    indicator.unit_de as unit,
    indicator.direction,
    comparison.value,
    previous.period_code as previous_period_code,
    comparison.previous_value,
    comparison.change,
    comparison.change_direction,
    comparison.pooled_from_period_code,
    comparison.pooled_value,
    {% for pair in ['siblings', 'peers'] %}
    {% for column in ['code', 'count', 'rank', 'percentile', 'robust_z', 'value'] %}
    comparison.{{ pair }}_{{ column }},
    {% endfor %}
    {% endfor %}
    comparison.target_low,
    comparison.target_high,
    comparison.target_status
from {{ ref('fct_indicator_comparison') }} as comparison
{{ with_names('comparison', 'indicator') }}
left join {{ ref('dim_period') }} as previous
    on comparison.previous_period_key = previous.period_key
where indicator.is_default
