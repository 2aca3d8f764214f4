{{ config(materialized='view') }}

-- What each dataset says about a number, and when it said so. Where a single delivery speaks about a measure and period, and
-- still counts, there is nothing to choose, nothing to sort and nothing to store again.
-- Known errors of a file (seed `corrections`) are set right here, each only while the delivered number shows the error. A
-- number under a wrong key is taken from there (`moved_`) and booked under the right one in int_observation__rekeyed.
with contested as materialized (
    {{ contested_contents() }}
),

said as (
    select
        {{ observation_columns() | join(',\n        ') }},
        null::timestamptz as known_until
    from {{ ref('int_observation__unioned') }}
    where
        (measure_code, period_code, dataset_id) not in (
            select contested.measure_code, contested.period_code, contested.dataset_id from contested
        )
    union all
    select
        {{ observation_columns() | join(',\n        ') }},
        known_until
    from {{ ref('int_observation__contested') }}
    where not is_absent
)

select
    {% for column in observation_columns() + ['known_until'] if column not in ('value', 'obs_status', 'conf_status') %}
    said.{{ column }},
    {% endfor %}
    case
        when correction.action = 'set_value' then correction.to_value
        when correction.action is null then said.value
    end as value,
    case
        when correction.action = 'set_value' then 'A'
        when correction.action is null then said.obs_status
        else 'M'
    end as obs_status,
    case when correction.action is null then said.conf_status else 'F' end as conf_status,
    correction.correction_id,
    correction.to_territory_code as moved_to_code,
    case when correction.action = 'move_key' then said.value end as moved_value,
    case when correction.action = 'move_key' then said.obs_status end as moved_obs_status,
    case when correction.action = 'move_key' then said.conf_status end as moved_conf_status
from said
left join {{ ref('corrections') }} as correction
    on {{ corrected_by('correction', 'said') }}
