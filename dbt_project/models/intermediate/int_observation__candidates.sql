{{ config(materialized='view') }}

-- Everything that could answer for a number: one row per number, basis, dataset and time of knowledge, delivered or derived, with
-- the rank of the dataset among those that deliver the measure.
{% set columns = key_columns() + [
    'territorial_basis', 'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'known_until',
    'correction_id',
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
        1::numeric as territorial_factor,
        is_derived
    from {{ ref('int_observation__territorial') }}
    {% for relation, method, factor, condition in [
        (ref('int_observation__age_banded'), 'territorial_method', '1', 'true'),
        (ref('int_observation__converted'), 'territorial_method', 'territorial_factor', not_replaced('estimate')),
        (
            ref('int_observation__rolled_up'), 'territorial_method',
            "case when territorial_method <> 'none' then 1 end", 'not is_beside_own',
        ),
        (ref('int_observation__totaled'), "'sum_of_categories'", '1', 'true'),
    ] %}
    union all
    select
        {{ columns | join(', ') }},
        null::integer,
        null::integer,
        {{ method }},
        {{ factor }},
        true
    from {{ relation }} as estimate  -- noqa: AL05
    where {{ condition }}
    {% endfor %}
) as candidate
left join {{ ref('measure_sources') }} as source
    on candidate.measure_code = source.measure_code and candidate.dataset_id = source.dataset_id
