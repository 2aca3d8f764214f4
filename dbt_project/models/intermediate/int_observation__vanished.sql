{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
) }}

-- Numbers a delivery no longer gives although it is a new version of what gave them: with it they are gone.
--
-- What a delivery replaces is decided for each measure and period it holds, among the earlier deliveries of its dataset:
-- - Of a known sender it replaces all that sender gave.
-- - Otherwise it is a new version of the earlier deliveries that speak of one of its territories, if it repeats more than
--   half of their numbers: then it replaces all of them, territories it no longer names included.
-- - If not, it may still be a new version for the territories it names, by the same measure: then it replaces all numbers of
--   those.
-- - Else it is a part, or a correction of single numbers, and what it does not mention stays: a workbook of one
--   municipality, a file of one school type or one of several layouts takes nothing away from the others.
{% set place = ['measure_code', 'period_code', 'dataset_id'] %}
{% set key = key_columns() + ['dataset_id'] %}
with contested as materialized (
    {{ contested_contents() }}
),

deliveries as materialized (
    select
        contents.measure_code,
        contents.period_code,
        contents.dataset_id,
        contents.delivery_id,
        counted.sender_code,
        counted.known_from,
        counted.known_until
    from {{ ref('int_delivery__contents') }} as contents
    inner join {{ ref('int_delivery__counted') }} as counted
        on contents.delivery_id = counted.delivery_id
    where
        (contents.measure_code, contents.period_code, contents.dataset_id) in (
            select contested.measure_code, contested.period_code, contested.dataset_id from contested
        )
        {% if is_incremental() %}
        and {{ in_stale('contents.measure_code', 'contents.period_code') }}
        {% endif %}
),

cells as materialized (
    select
        {% for column in key %}
        unioned.{{ column }},
        {% endfor %}
        unioned.delivery_id
    from {{ ref('int_observation__unioned') }} as unioned
    where
        (unioned.measure_code, unioned.period_code, unioned.dataset_id) in (
            select contested.measure_code, contested.period_code, contested.dataset_id from contested
        )
        {% if is_incremental() %}
        and {{ in_stale('unioned.measure_code', 'unioned.period_code') }}
        {% endif %}
),

units as materialized (
    select distinct
        {{ place | join(', ') }},
        territory_code,
        delivery_id
    from cells
),

sharing as materialized (
    select distinct
        {% for column in place %}
        later_unit.{{ column }},
        {% endfor %}
        later_unit.delivery_id as later_id,
        earlier_unit.delivery_id as earlier_id
    from units as later_unit
    inner join units as earlier_unit
        on
            {% for column in place + ['territory_code'] %}
            later_unit.{{ column }} = earlier_unit.{{ column }} and
            {%- endfor %}
            later_unit.delivery_id <> earlier_unit.delivery_id
),

followed as materialized (
    select
        {% for column in place %}
        later.{{ column }},
        {% endfor %}
        later.delivery_id,
        later.sender_code,
        earlier.delivery_id as earlier_id
    from deliveries as later
    inner join deliveries as earlier
        on
            {% for column in place %}
            later.{{ column }} = earlier.{{ column }} and
            {%- endfor %}
            (later.known_from, later.delivery_id) > (earlier.known_from, earlier.delivery_id)
            and (earlier.known_until is null or later.known_from < earlier.known_until)
            and (later.sender_code is null or later.sender_code = earlier.sender_code)
    left join sharing
        on
            {% for column in place %}
            later.{{ column }} = sharing.{{ column }} and
            {%- endfor %}
            later.delivery_id = sharing.later_id
            and earlier.delivery_id = sharing.earlier_id
    where later.sender_code is not null or sharing.later_id is not null
),

earlier_cells as (
    select distinct
        {% for column in key %}
        cells.{{ column }},
        {% endfor %}
        followed.delivery_id,
        followed.sender_code
    from followed
    inner join cells
        on
            {% for column in place %}
            followed.{{ column }} = cells.{{ column }} and
            {%- endfor %}
            followed.earlier_id = cells.delivery_id
),

compared as (
    select
        earlier_cells.*,
        own.delivery_id is not null as is_repeated,
        unit.delivery_id is not null as is_of_own_unit
    from earlier_cells
    left join cells as own
        on
            {% for column in key + ['delivery_id'] %}
            earlier_cells.{{ column }} = own.{{ column }}{{ ' and' if not loop.last }}
            {%- endfor %}
    left join units as unit
        on
            {% for column in place + ['territory_code', 'delivery_id'] %}
            earlier_cells.{{ column }} = unit.{{ column }}{{ ' and' if not loop.last }}
            {%- endfor %}
),

judged as (
    select
        *,
        sender_code is not null or 2 * count(*) filter (where is_repeated) over of_delivery > count(*) over of_delivery
            as replaces_all,
        2 * count(*) filter (where is_repeated) over of_delivery
        > count(*) filter (where is_of_own_unit) over of_delivery as replaces_own_units
    from compared
    window of_delivery as (partition by {{ place | join(', ') }}, delivery_id)
)

select
    {{ key | join(',\n    ') }},
    delivery_id
from judged
where not is_repeated and (replaces_all or (is_of_own_unit and replaces_own_units))
