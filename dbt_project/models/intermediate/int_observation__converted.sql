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
-- sums, a part of a unit is its share by population or area and an estimate. A unit has a number only when all it is made of
-- has; one that is delivered but cannot be converted is there without a number (`none`), so that nobody takes the delivered
-- one for it. Only what adds up over territories is converted. An office that already books under the key of a later unit has
-- converted itself: its number counts.
{% set group_columns = ['measure_code', 'period_code', 'nationality', 'sex', 'age_band', 'category'] %}
{% set columns = key_columns() + [
    'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'known_until', 'correction_id',
    'territorial_basis',
] %}
with observed as (
    {% for relation in [ref('int_observation__territorial'), ref('int_observation__age_banded')] %}
    select
        {{ columns | join(', ') }}
    from {{ relation }}
    where
        -- of those on both bases only what is ahead of its territory
        (territorial_basis = 'as_delivered' or territory_code in (
            select changed.territory_code from {{ ref('int_territory__changed') }} as changed where changed.is_ahead
        ))
        {% if is_incremental() %}
            and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

changed as (
    select
        observed.*,
        period.reference_date
    from observed
    inner join {{ ref('measures') }} as measure
        on observed.measure_code = measure.measure_code and measure.is_additive_over_territory
    inner join {{ ref('int_period__parsed') }} as period
        on observed.period_code = period.period_code
),

-- Of how many units each unit of the chosen state was made, by reference date.
expected as (
    select
        dates.reference_date,
        conversion.new_code,
        count(*) as part_count
    from (select distinct changed.reference_date from changed) as dates
    inner join {{ ref('int_territory__conversion') }} as conversion
        on
            dates.reference_date between conversion.from_date and conversion.to_date
            and dates.reference_date < conversion.ends_on
            and conversion.factor > 0
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
        changed.reference_date,
        true as is_part,
        false as is_ahead,
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
    inner join {{ ref('int_territory__conversion') }} as conversion
        on
            changed.territory_code = conversion.old_code
            and conversion.factor > 0
            and changed.reference_date between conversion.from_date and conversion.to_date
            and changed.reference_date < conversion.ends_on
    -- what is booked under a dead key counts under the valid one, or nowhere
    inner join {{ ref('int_territory__validity') }} as unit
        on {{ valid_on('unit', 'changed.territory_code', 'changed.reference_date') }}
    where changed.territorial_basis = 'as_delivered'
    union all
    -- that the unit itself is delivered; this adds nothing
    select
        changed.territory_code,
        {% for column in group_columns %}
        changed.{{ column }},
        {% endfor %}
        changed.dataset_id,
        changed.reference_date,
        false,
        changed.territorial_basis = 'both',
        null,
        null,
        0,
        'A',
        'F',
        changed.delivery_id,
        changed.known_from,
        changed.known_until,
        null
    from changed
    inner join {{ ref('int_territory__validity') }} as unit
        on {{ valid_on('unit', 'changed.territory_code', territorial_state()) }}
),

sums as (
    select
        parts.territory_code,
        {% for column in group_columns %}
        parts.{{ column }},
        {% endfor %}
        parts.dataset_id,
        parts.reference_date,
        vintage.known_from,
        vintage.known_until,
        bool_or(parts.is_ahead) as is_ahead,
        count(*) filter (where parts.is_part) as part_count,
        count(*) filter (where not parts.is_part) > 0 as is_delivered,
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
        -- the share of the old units' number that this unit takes over; of nothing there is none where the shares differ
        case
            when min(parts.factor) = max(parts.factor) then min(parts.factor)
            when sum(parts.value) <> 0 then sum(parts.value * parts.factor) / sum(parts.value)
        end as territorial_factor
    from parts
    {{ at_vintages('parts') }}
    group by
        parts.territory_code,
        {% for column in group_columns %}
        parts.{{ column }},
        {% endfor %}
        parts.dataset_id, parts.reference_date, vintage.known_from, vintage.known_until
),

judged as (
    select
        sums.*,
        doubt.territory_code is null
        and (
            sums.part_count = expected.part_count
            or (listing.dataset_id is not null and sums.part_count > 0)
        ) is true as is_known
    from sums
    left join expected
        on sums.territory_code = expected.new_code and sums.reference_date = expected.reference_date
    left join {{ ref('int_territory__doubt') }} as doubt
        on sums.territory_code = doubt.territory_code and sums.reference_date <= doubt.to_date
    left join {{ ref('listings') }} as listing
        on sums.dataset_id = listing.dataset_id and sums.measure_code = listing.measure_code
    where not sums.is_ahead
)

select
    territory_code,
    {{ group_columns | join(', ') }},
    dataset_id,
    'converted' as territorial_basis,
    known_from,
    known_until,
    case when is_known then value end as value,
    case when is_known then obs_status else 'M' end as obs_status,
    case when is_known then conf_status else 'F' end as conf_status,
    delivery_id,
    correction_id,
    case when is_known then territorial_method else 'none' end as territorial_method,
    case when is_known then territorial_factor end as territorial_factor
from judged
where is_known or is_delivered
