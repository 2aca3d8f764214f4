{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
    meta={'rules': ['territory', 'measures', 'age_bands', 'listings', 'corrections']},
) }}
-- depends_on: {{ ref('int_delivery__contents') }} {{ ref('int_rule__digest') }} {{ ref('int_delivery__vintages') }}

-- Numbers of units that have changed since, on the territories of the chosen state (statistics.md 4): mergers of whole units are
-- sums, a part of a unit is its share by population or area and an estimate. A unit is there only when all it is made of is.
-- Only what adds up over territories is converted.
{% set group_columns = ['measure_code', 'period_code', 'nationality', 'sex', 'age_band', 'category'] %}
{% set columns = key_columns() + [
    'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'known_until', 'correction_id',
] %}
with changed as (
    {% for relation in [ref('int_observation__territorial'), ref('int_observation__age_banded')] %}
    select
        {{ columns | join(', ') }}
    from {{ relation }}
    where
        territorial_basis = 'as_delivered'
        {% if is_incremental() %}
            and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- Of how many units each unit of the chosen state was made, by reference date.
expected as (
    select
        dates.reference_date,
        conversion.new_code,
        count(*) as part_count
    from (select distinct reference_date from {{ ref('int_period__parsed') }}) as dates
    inner join {{ ref('int_territory__conversion') }} as conversion
        on dates.reference_date between conversion.from_date and conversion.to_date and conversion.factor > 0
    inner join {{ ref('int_territory__validity') }} as unit
        on {{ valid_on('unit', 'conversion.old_code', 'dates.reference_date') }}
    group by dates.reference_date, conversion.new_code
),

parts as (
    select
        conversion.new_code as territory_code,
        {% for column in group_columns %}
        changed.{{ column }},
        {% endfor %}
        changed.dataset_id,
        period.reference_date,
        conversion.method,
        conversion.factor,
        changed.value,
        changed.obs_status,
        changed.conf_status,
        changed.delivery_id,
        changed.known_from,
        changed.known_until,
        changed.correction_id
    from changed
    inner join {{ ref('measures') }} as measure
        on changed.measure_code = measure.measure_code and measure.is_additive_over_territory
    inner join {{ ref('int_period__parsed') }} as period
        on changed.period_code = period.period_code
    inner join {{ ref('int_territory__conversion') }} as conversion
        on
            changed.territory_code = conversion.old_code
            and conversion.factor > 0
            and period.reference_date between conversion.from_date and conversion.to_date
    -- what is booked under a dead key counts under the valid one, or nowhere
    inner join {{ ref('int_territory__validity') }} as unit
        on {{ valid_on('unit', 'changed.territory_code', 'period.reference_date') }}
)

select
    parts.territory_code,
    {% for column in group_columns %}
    parts.{{ column }},
    {% endfor %}
    parts.dataset_id,
    'converted' as territorial_basis,
    vintage.known_from,
    vintage.known_until,
    case when bool_or(parts.value is null) then null else sum(parts.value * parts.factor) end as value,
    case
        when not bool_or(parts.value is null) and bool_or(parts.factor < 1) then 'E'
        else {{ combined_obs_status('parts.value', 'parts.obs_status', 'parts.conf_status') }}
    end as obs_status,
    {{ combined_conf_status('parts.conf_status') }} as conf_status,
    max(parts.delivery_id) as delivery_id,
    max(parts.correction_id) as correction_id,
    case
        when bool_or(parts.method = 'factor_area') then 'factor_area'
        when bool_or(parts.method = 'factor_population') then 'factor_population'
        else 'exact_sum'
    end as territorial_method,
    -- the share of the old units' number that this unit takes over
    case
        when min(parts.factor) = max(parts.factor) then min(parts.factor)
        when sum(parts.value) <> 0 then sum(parts.value * parts.factor) / sum(parts.value)
    end as territorial_factor
from parts
{{ at_vintages('parts') }}
inner join expected
    on parts.territory_code = expected.new_code and parts.reference_date = expected.reference_date
left join {{ ref('listings') }} as listing
    on parts.dataset_id = listing.dataset_id and parts.measure_code = listing.measure_code
group by
    parts.territory_code,
    {% for column in group_columns %}
    parts.{{ column }},
    {% endfor %}
    parts.dataset_id, vintage.known_from, vintage.known_until, expected.part_count, listing.dataset_id
having count(*) = expected.part_count or listing.dataset_id is not null
