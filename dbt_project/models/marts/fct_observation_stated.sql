{{ config(materialized='view') }}

{% set columns = [
    'measure_key', 'period_key', 'territory_key', 'population_group_key', 'category_key', 'territorial_basis',
    'dataset_key', 'known_from', 'known_until', 'value', 'obs_status', 'conf_status', 'territorial_method',
    'territorial_factor', 'is_derived', 'delivery_id', 'row_number', 'column_number', 'correction_id',
] %}
select
    {{ columns | join(',\n    ') }},
    true as is_authoritative
from {{ ref('fct_observation_vintage') }}
union all
select
    {{ columns | join(',\n    ') }},
    false
from {{ ref('fct_observation_alternative') }}
