{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_key', 'period_key'],
    unlogged=true,
    indexes=[{'columns': ['territory_key', 'measure_key']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
    meta={
        'part_key': 'measure_key',
        'rules': ['territory', 'measures', 'age_bands', 'measure_sources', 'listings', 'corrections', 'deviations'],
    },
) }}
-- depends_on: {{ ref('int_rule__digest') }} {{ ref('int_delivery__contents') }}

-- The sum of the municipalities beside the county's figure as an office delivers it, and why they differ. How far rounding may
-- move a number follows from the secrecy method of its dataset (statistics.md 2): the total and each part by themselves.
with sums as (
    select
        {{ key_columns() | join(', ') }},
        dataset_id,
        delivery_id,
        value,
        obs_status,
        conf_status,
        part_count
    from {{ ref('int_observation__rolled_up') }}
    where
        known_until is null
        and length(territory_code) = 5
        and territorial_basis in ('both', 'as_delivered')
        {% if is_incremental() %}
        and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
),

-- keys first: their order is not the planner's to choose, who would join everything of a period to everything
keyed as materialized (
    select
        sums.*,
        measure.measure_key,
        measure.behaviour,
        period.period_key,
        territory.territory_key,
        population_group.population_group_key,
        category.category_key,
        dataset.dataset_key,
        dataset.number_deviation
    from sums
    {{ with_keys('sums', has_basis=false) }}
),

compared as (
    select
        keyed.*,
        delivered.value as delivered_value,
        delivered.obs_status as delivered_obs_status,
        delivered.conf_status as delivered_conf_status,
        delivered.dataset_key as delivered_dataset_key,
        delivered.delivery_id as delivered_delivery_id,
        keyed.value - delivered.value as difference,
        coalesce(keyed.number_deviation, 0) * keyed.part_count + coalesce(other.number_deviation, 0)
        -- means are rounded to whole numbers each by itself
        + case when keyed.behaviour = 'average' then 0.5 * (keyed.part_count + 1) else 0 end as tolerance
    from keyed
    inner join {{ ref('fct_observation_vintage') }} as delivered
        on
            {% for column in [
                'measure_key', 'period_key', 'territory_key', 'population_group_key', 'category_key',
            ] %}
            keyed.{{ column }} = delivered.{{ column }}
            and {% endfor %}delivered.territorial_basis in ('both', 'as_delivered')
            and delivered.known_until is null
            and not delivered.is_derived
            {% if is_incremental() %}
            and {{ in_stale('delivered.measure_key', 'delivered.period_key', keyed=true) }}
            {% endif %}
    left join {{ ref('dim_dataset') }} as other
        on delivered.dataset_key = other.dataset_key
)

select
    measure_key,
    period_key,
    territory_key,
    population_group_key,
    category_key,
    dataset_key,
    value as municipal_sum,
    obs_status as municipal_obs_status,
    conf_status as municipal_conf_status,
    part_count as municipality_count,
    delivery_id as municipal_delivery_id,
    delivered_value,
    delivered_obs_status,
    delivered_conf_status,
    delivered_dataset_key,
    delivered_delivery_id,
    difference,
    tolerance,
    case
        when difference = 0 then 'equal'
        when abs(difference) <= tolerance then 'rounding'
        when difference is not null and dataset_key <> delivered_dataset_key then 'other_source'
        when difference is not null then 'error'
        when 'Q' in (obs_status, delivered_obs_status) or conf_status <> 'F' or delivered_conf_status <> 'F'
            then 'secrecy'
        else 'missing'
    end as explanation
from compared
