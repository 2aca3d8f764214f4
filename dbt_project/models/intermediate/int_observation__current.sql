{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code', 'territory_code']}],
    post_hook=['{{ remember_partitions() }}', 'analyze {{ this }}'],
) }}

-- The latest accepted vintage of every number, dataset by dataset. A later delivery that no longer mentions a number
-- leaves the earlier one standing: offices deliver single years and corrections, not their whole history.
-- Where a single delivery speaks about a measure and period there is nothing to choose, and nothing to sort.
with contested as materialized (
    select
        measure_code,
        period_code,
        dataset_id
    from {{ ref('int_delivery__contents') }}
    group by measure_code, period_code, dataset_id
    having count(*) > 1
)

select
    {{ observation_columns() | join(',\n    ') }}
from {{ ref('int_observation__unioned') }}
where
    (measure_code, period_code, dataset_id) not in (
        select contested.measure_code, contested.period_code, contested.dataset_id from contested
    )
    {% if is_incremental() %}
    and {{ in_stale('measure_code', 'period_code') }}
    {% endif %}
union all
(
    select distinct on ({{ key_columns() | join(', ') }}, dataset_id)
        {{ observation_columns() | join(',\n        ') }}
    from {{ ref('int_observation__unioned') }}
    where
        (measure_code, period_code, dataset_id) in (
            select contested.measure_code, contested.period_code, contested.dataset_id from contested
        )
        {% if is_incremental() %}
        and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
    order by {{ key_columns() | join(', ') }}, dataset_id, known_from desc, delivery_id desc
)
