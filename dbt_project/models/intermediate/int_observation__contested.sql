{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code', 'territory_code']}],
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
) }}

-- Numbers about which several deliveries of a dataset may speak, with the time each of them counted. A later delivery that no
-- longer mentions a number leaves the earlier one standing: offices deliver single years and corrections, not their history.
with contested as materialized (
    select
        measure_code,
        period_code,
        dataset_id
    from {{ ref('int_delivery__contents') }}
    group by measure_code, period_code, dataset_id
    having count(*) > 1
),

followed as (
    select
        {{ observation_columns() | join(',\n        ') }},
        lead(known_from) over (
            partition by {{ key_columns() | join(', ') }}, dataset_id
            order by known_from, delivery_id
        ) as known_until
    from {{ ref('int_observation__unioned') }}
    where
        (measure_code, period_code, dataset_id) in (
            select contested.measure_code, contested.period_code, contested.dataset_id from contested
        )
        {% if is_incremental() %}
        and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
)

select *
from followed
where known_until is null or known_until > known_from
