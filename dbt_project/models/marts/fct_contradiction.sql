{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_key', 'period_key'],
    unlogged=true,
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
    meta={
        'part_key': 'measure_key',
        'rules': ['territory', 'measures', 'age_bands', 'measure_sources', 'listings', 'corrections', 'deviations'],
    },
) }}
-- depends_on: {{ ref('int_rule__digest') }} {{ ref('int_delivery__contents') }}

-- What two offices publish about the same number, where their secrecy methods do not explain the difference. Delivered numbers
-- only: how far a sum may be off depends on its parts, and sums of municipalities stand in fct_county_reconciliation.
with compared as (
    select
        other.measure_key,
        other.period_key,
        other.territory_key,
        other.population_group_key,
        other.category_key,
        other.dataset_key,
        other.value,
        other.obs_status,
        other.delivery_id,
        counting.dataset_key as counting_dataset_key,
        counting.value as counting_value,
        counting.obs_status as counting_obs_status,
        counting.delivery_id as counting_delivery_id,
        other.value - counting.value as difference,
        -- a dataset whose contract is gone and never said how far its numbers may be off is taken as exact
        coalesce(dataset.number_deviation, 0) + coalesce(counting_dataset.number_deviation, 0)
        -- means and shares are rounded in the last digit they are published with, each by itself
        + case
            when measure.behaviour = 'average'
                then 0.5 * (power(10::numeric, -scale(other.value)) + power(10::numeric, -scale(counting.value)))
            else 0
        end as tolerance
    from {{ ref('fct_observation_alternative') }} as other
    inner join {{ ref('fct_observation_vintage') }} as counting
        on
            {% for column in [
                'measure_key', 'period_key', 'territory_key', 'population_group_key', 'category_key',
            ] %}
            other.{{ column }} = counting.{{ column }}
            and {% endfor %}counting.territorial_basis in ('both', 'as_delivered')
            and counting.known_until is null
            and not counting.is_derived
            and counting.value is not null
            {% if is_incremental() %}
            and {{ in_stale('counting.measure_key', 'counting.period_key', keyed=true) }}
            {% endif %}
    inner join {{ ref('dim_measure') }} as measure
        on other.measure_key = measure.measure_key
    inner join {{ ref('dim_dataset') }} as dataset
        on other.dataset_key = dataset.dataset_key
    inner join {{ ref('dim_dataset') }} as counting_dataset
        on counting.dataset_key = counting_dataset.dataset_key
    where
        other.territorial_basis in ('both', 'as_delivered')
        and other.known_until is null
        and not other.is_derived
        and other.value is not null
        {% if is_incremental() %}
        and {{ in_stale('other.measure_key', 'other.period_key', keyed=true) }}
        {% endif %}
)

select
    measure_key,
    period_key,
    territory_key,
    population_group_key,
    category_key,
    dataset_key,
    value,
    obs_status,
    delivery_id,
    counting_dataset_key,
    counting_value,
    counting_obs_status,
    counting_delivery_id,
    difference,
    tolerance
from compared
where abs(difference) > tolerance
