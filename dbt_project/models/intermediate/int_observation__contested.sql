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
-- after it is withdrawn, and is then a row of its own. A later delivery that no longer mentions a number leaves the earlier
-- one standing: offices deliver single years and corrections, not their history.
with contested as materialized (
    {{ contested_contents() }}
),

counted as (
    select
        delivery_id as counted_id,
        tstzrange(known_from, known_until) as counts
    from {{ ref('int_delivery__counted') }}
),

followed as (
    select
        {{ observation_columns() | join(',\n        ') }},
        tstzmultirange(counts) - coalesce(
            range_agg(counts) over (
                partition by {{ key_columns() | join(', ') }}, dataset_id
                order by known_from desc, delivery_id desc
                rows between unbounded preceding and 1 preceding
            ),
            '{}'::tstzmultirange
        ) as holds
    from {{ ref('int_observation__unioned') }}
    inner join counted
        on delivery_id = counted_id
    where
        (measure_code, period_code, dataset_id) in (
            select contested.measure_code, contested.period_code, contested.dataset_id from contested
        )
        {% if is_incremental() %}
        and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
)

select
    {% for column in observation_columns() %}
    {{ 'lower(span.held)' if column == 'known_from' else 'followed.' ~ column }} as {{ column }},
    {% endfor %}
    upper(span.held) as known_until
from followed
cross join lateral unnest(followed.holds) as span (held)
