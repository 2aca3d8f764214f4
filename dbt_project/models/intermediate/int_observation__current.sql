{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code', 'territory_code']}],
    post_hook=['{{ remember_partitions() }}', 'analyze {{ this }}'],
    meta={'rules': ['corrections']},
) }}
-- depends_on: {{ ref('int_rule__digest') }}

-- The latest accepted vintage of every number, dataset by dataset. A later delivery that no longer mentions a number
-- leaves the earlier one standing: offices deliver single years and corrections, not their whole history.
-- Known errors of a file (seed `corrections`) are set right here, each only while the delivered number shows the error. A
-- number under a wrong key is taken from there (`moved_`) and booked under the right one in int_observation__rekeyed.
-- Where a single delivery speaks about a measure and period there is nothing to choose, and nothing to sort.
with contested as materialized (
    select
        measure_code,
        period_code,
        dataset_id
    from {{ ref('int_delivery__contents') }}
    group by measure_code, period_code, dataset_id
    having count(*) > 1
),

latest as (
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
)

select
    {% for column in observation_columns() if column not in ('value', 'obs_status', 'conf_status') %}
    latest.{{ column }},
    {% endfor %}
    case
        when correction.action = 'set_value' then correction.to_value
        when correction.action is null then latest.value
    end as value,
    case
        when correction.action = 'set_value' then 'A'
        when correction.action is null then latest.obs_status
        else 'M'
    end as obs_status,
    case when correction.action is null then latest.conf_status else 'F' end as conf_status,
    correction.correction_id,
    correction.to_territory_code as moved_to_code,
    case when correction.action = 'move_key' then latest.value end as moved_value,
    case when correction.action = 'move_key' then latest.obs_status end as moved_obs_status,
    case when correction.action = 'move_key' then latest.conf_status end as moved_conf_status
from latest
left join {{ ref('corrections') }} as correction
    on {{ corrected_by('correction', 'latest') }}
