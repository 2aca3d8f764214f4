{{ config(materialized='view') }}

-- Everything that could answer for a number: one row per number and dataset, delivered or derived, with the rank of the
-- dataset among those that deliver the measure.
{% set columns = key_columns() + [
    'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'category_name',
] %}
select
    candidate.*,
    coalesce(source.priority, 100) as source_priority
from (
    select
        {{ columns | join(', ') }},
        row_number,
        column_number,
        territorial_method,
        is_derived
    from {{ ref('int_observation__territorial') }}
    union all
    select
        {{ columns | join(', ') }},
        null::integer,
        null::integer,
        territorial_method,
        true
    from {{ ref('int_observation__age_banded') }}
    union all
    select
        {{ columns | join(', ') }},
        null::integer,
        null::integer,
        'sum_of_municipalities',
        true
    from {{ ref('int_observation__rolled_up') }}
) as candidate
left join {{ ref('measure_sources') }} as source
    on candidate.measure_code = source.measure_code and candidate.dataset_id = source.dataset_id
