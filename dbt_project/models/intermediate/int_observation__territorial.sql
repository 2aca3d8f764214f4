{{ config(materialized='view') }}

-- What is known per dataset under keys as delivered and under valid keys; one row per number and dataset. An own cell
-- without a number gives way to the exact sum of the predecessors.
{% set columns = key_columns() + [
    'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'category_name', 'correction_id',
] %}
select
    {% for column in columns %}
    observed.{{ column }},
    {% endfor %}
    observed.row_number,
    observed.column_number,
    'as_delivered' as territorial_method,
    false as is_derived
from {{ ref('int_observation__current') }} as observed
where observed.value is not null
union all
select
    {% for column in columns %}
    observed.{{ column }},
    {% endfor %}
    observed.row_number,
    observed.column_number,
    'as_delivered',
    false
from {{ ref('int_observation__current') }} as observed
where
    observed.value is null
    and not exists (
        select 1 from {{ ref('int_observation__rekeyed') }} as rekeyed
        where
            {% for column in key_columns() + ['dataset_id'] %}
            rekeyed.{{ column }} = observed.{{ column }}{{ ' and' if not loop.last }}
            {% endfor %}
    )
union all
select
    {{ columns | join(', ') }},
    null::integer,
    null::integer,
    territorial_method,
    true
from {{ ref('int_observation__rekeyed') }}
