{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code']}],
    post_hook=['{{ remember_partitions() }}', 'analyze {{ this }}'],
    meta={'rules': ['territory', 'measures', 'age_bands', 'listings', 'corrections']},
) }}
-- depends_on: {{ ref('int_delivery__contents') }} {{ ref('int_rule__digest') }}

-- Counties and states a dataset leaves out, as sums of their municipalities - all of them, or no sum at all.
-- An edition of the register is complete by nature, unincorporated areas included: it is summed as it stands, one edition
-- at a time. A listing names all that exists, and what it does not name is not there. Any other dataset must deliver every
-- municipality that is valid at the reference date.
{% set group_columns = ['measure_code', 'period_code', 'nationality', 'sex', 'age_band', 'category'] %}
{% set value_columns = [
    'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'category_name',
    'correction_id',
] %}
with municipal as (
    select
        {{ (key_columns() + value_columns) | join(', ') }}
    from {{ ref('int_observation__territorial') }}
    where
        length(territory_code) = 8
        {% if is_incremental() %}
            and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
    union all
    select
        {{ (key_columns() + value_columns) | join(', ') }}
    from {{ ref('int_observation__age_banded') }}
    where
        length(territory_code) = 8
        {% if is_incremental() %}
            and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
),

register_editions as (
    select distinct on (measure_code, period_code)
        measure_code,
        period_code,
        delivery_id
    from municipal
    where dataset_id = 'register__municipalities'
    order by measure_code, period_code, known_from desc, delivery_id desc
),

reference_dates as (
    select distinct period.reference_date
    from {{ ref('int_period__parsed') }} as period
    where
        period.period_code in (
            select municipal.period_code from municipal where municipal.dataset_id <> 'register__municipalities'
        )
),

valid_municipalities as (
    select
        reference_dates.reference_date,
        validity.territory_code,
        validity.county_code,
        validity.state_code,
        validity.is_unincorporated
    from reference_dates
    inner join {{ ref('int_territory__validity') }} as validity
        on
            validity.level = 'municipality'
            and reference_dates.reference_date
            between validity.valid_from and coalesce(validity.valid_to, date '9999-12-31')
),

expected as (
    select
        valid_municipalities.reference_date,
        target.territory_code,
        count(*) filter (where not valid_municipalities.is_unincorporated) as municipality_count
    from valid_municipalities
    cross join lateral (
        values (valid_municipalities.county_code), (valid_municipalities.state_code)
    ) as target (territory_code)
    -- the baseline knows the county it was made for, not its state
    where
        length(target.territory_code) = 5
        or target.territory_code in (
            select state.territory_code from {{ ref('int_territory__validity') }} as state where state.is_in_register
        )
    group by valid_municipalities.reference_date, target.territory_code
),

parts as (
    select
        municipal.*,
        null::date as reference_date,
        false as is_counted
    from municipal
    inner join register_editions
        on
            municipal.measure_code = register_editions.measure_code
            and municipal.period_code = register_editions.period_code
            and municipal.delivery_id = register_editions.delivery_id
    where municipal.dataset_id = 'register__municipalities'
    union all
    select
        municipal.*,
        valid_municipalities.reference_date,
        not valid_municipalities.is_unincorporated
    from municipal
    inner join {{ ref('int_period__parsed') }} as period
        on municipal.period_code = period.period_code
    inner join valid_municipalities
        on
            municipal.territory_code = valid_municipalities.territory_code
            and period.reference_date = valid_municipalities.reference_date
    where municipal.dataset_id <> 'register__municipalities'
),

sums as (
    select
        target.territory_code,
        {% for column in group_columns %}
        parts.{{ column }},
        {% endfor %}
        parts.dataset_id,
        {{ sum_or_blocked('parts.value') }} as value,
        {{ combined_obs_status('parts.value', 'parts.obs_status', 'parts.conf_status') }} as obs_status,
        {{ combined_conf_status('parts.conf_status') }} as conf_status,
        max(parts.delivery_id) as delivery_id,
        max(parts.known_from) as known_from,
        max(parts.category_name) as category_name,
        max(parts.correction_id) as correction_id,
        parts.reference_date,
        count(*) filter (where parts.is_counted) as municipality_count
    from parts
    inner join {{ ref('measures') }} as measure
        on parts.measure_code = measure.measure_code
    cross join lateral (
        values (left(parts.territory_code, 5)), (left(parts.territory_code, 2))
    ) as target (territory_code)
    where measure.is_additive_over_territory
    group by
        target.territory_code,
        {% for column in group_columns %}
        parts.{{ column }},
        {% endfor %}
        parts.dataset_id, parts.reference_date
)

select
    {% for column in key_columns() + value_columns %}
    sums.{{ column }}{{ ',' if not loop.last }}
    {% endfor %}
from sums
left join expected
    on sums.territory_code = expected.territory_code and sums.reference_date = expected.reference_date
left join {{ ref('listings') }} as listing
    on sums.dataset_id = listing.dataset_id and sums.measure_code = listing.measure_code
where
    (
        sums.dataset_id = 'register__municipalities'
        or (listing.dataset_id is not null and length(sums.territory_code) = 5)
        or sums.municipality_count = expected.municipality_count
    )
    -- areas no county holds, such as coastal waters, are booked under a county number that does not exist
    and sums.territory_code in (
        select unit.territory_code
        from {{ ref('int_territory__validity') }} as unit
        where unit.level in ('county', 'state')
    )
    {% for relation in [ref('int_observation__current'), ref('int_observation__age_banded')] %}
    and not exists (
        select 1 from {{ relation }} as own
        where
            {% for column in key_columns() + ['dataset_id'] %}
            own.{{ column }} = sums.{{ column }}{{ ' and' if not loop.last }}
            {% endfor %}
    )
    {% endfor %}
