{{ config(materialized='view') }}

-- Everything that could answer for a number: one row per number and dataset, delivered or derived, with the rank of the
-- dataset among those that deliver the measure.
{% set columns = key_columns() + [
    'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'correction_id',
] %}
select
    candidate.*,
    coalesce(source.priority, 100) as source_priority
from (
    select
        {{ columns | join(', ') }},
        category_name,
        row_number,
        column_number,
        territorial_method,
        is_derived
    from {{ ref('int_observation__territorial') }}
    {% for relation, category_name, method in [
        (ref('int_observation__age_banded'), 'category_name', 'territorial_method'),
        (ref('int_observation__rolled_up'), 'category_name', "'sum_of_municipalities'"),
        (ref('int_observation__totaled'), 'null', "'sum_of_categories'"),
    ] %}
    union all
    select
        {{ columns | join(', ') }},
        {{ category_name }},
        null::integer,
        null::integer,
        {{ method }},
        true
    from {{ relation }}
    {% endfor %}
) as candidate
left join {{ ref('measure_sources') }} as source
    on candidate.measure_code = source.measure_code and candidate.dataset_id = source.dataset_id
