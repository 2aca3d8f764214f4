{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code', 'territory_code']}],
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
) }}

-- Numbers about which several deliveries of a dataset may speak, or one that was withdrawn, with the times each of them
-- counted: while its delivery did and no later one that did spoke of the same number. So a number counts again when the one
-- after it is withdrawn, and is then a row of its own. That a new version no longer gives a number is a statement like the
-- others (`is_absent`), see int_observation__vanished.
{% set whose = ['dataset_id', 'delivery_id'] %}
{% set said_of_cell = observation_columns() | reject('in', key_columns() + whose + ['known_from']) | list %}
with contested as materialized (
    {{ contested_contents() }}
),

said as (
    select
        {% for column in key_columns() + whose + said_of_cell %}
        unioned.{{ column }},
        {% endfor %}
        false as is_absent
    from {{ ref('int_observation__unioned') }} as unioned
    where
        (unioned.measure_code, unioned.period_code, unioned.dataset_id) in (
            select contested.measure_code, contested.period_code, contested.dataset_id from contested
        )
        {% if is_incremental() %}
        and {{ in_stale('unioned.measure_code', 'unioned.period_code') }}
        {% endif %}
    union all
    select
        {% for column in key_columns() + whose %}
        vanished.{{ column }},
        {% endfor %}
        {% for column in said_of_cell %}
        null,
        {% endfor %}
        true
    from {{ ref('int_observation__vanished') }} as vanished
    {% if is_incremental() %}
    where {{ in_stale('vanished.measure_code', 'vanished.period_code') }}
    {% endif %}
),

counted as (
    select
        said.*,
        counted.known_from,
        tstzrange(counted.known_from, counted.known_until) as counts
    from said
    inner join {{ ref('int_delivery__counted') }} as counted
        on said.delivery_id = counted.delivery_id
),

followed as (
    select
        *,
        {{ holds_alone('counts', key_columns() + ['dataset_id']) }} as holds
    from counted
)

select
    {% for column in observation_columns() %}
    {{ 'lower(span.held)' if column == 'known_from' else 'followed.' ~ column }} as {{ column }},
    {% endfor %}
    upper(span.held) as known_until,
    followed.is_absent
from followed
cross join lateral unnest(followed.holds) as span (held)
