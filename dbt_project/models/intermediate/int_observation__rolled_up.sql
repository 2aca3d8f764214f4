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

-- Counties and states as sums of their municipalities - all of them, or no sum at all. Where the dataset delivers the county
-- itself, the sum stands beside it (`is_beside_own`): the delivered figure counts, the difference is explained.
-- An edition of the register is complete by nature, unincorporated areas included: it is summed as it stands, one edition
-- at a time. A listing names all that exists, and what it does not name is not there. Any other dataset must deliver every
-- municipality that is valid at the reference date. A county that has changed since is summed a second time, from its
-- municipalities in the chosen territorial state, all of them again: then an edition of an earlier day is complete no more.
-- Where that cannot be done the sum is there without a number, and so it is where a number stands beside them under a key of the
-- county that nobody can place: in no register that day, and no other holds what it was. Whose people these are nobody knows. It counts instead of an own number that is an estimate or
-- cannot be converted at all (`replaces_own`): of the county more was estimated than of single municipalities.
{% set group_columns = ['measure_code', 'period_code', 'nationality', 'sex', 'age_band', 'category'] %}
{% set value_columns = [
    'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'known_until', 'correction_id',
    'territorial_basis',
] %}
{% set member_columns = key_columns() + value_columns + ['territorial_method'] %}
{% set member_columns = member_columns | reject('in', ['known_from', 'known_until']) | list %}
{% set register = "'register__municipalities'" %}
with observed as (
    {% for relation in [
        ref('int_observation__territorial'), ref('int_observation__age_banded'), ref('int_observation__converted'),
    ] %}
    select
        {{ (key_columns() + value_columns) | join(', ') }},
        territorial_method
    from {{ relation }}
    {% if is_incremental() %}
        where {{ in_stale('measure_code', 'period_code') }}
    {% endif %}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

register_editions as (
    select
        edition.measure_code,
        edition.period_code,
        edition.delivery_id,
        lower(span.held) as known_from,
        upper(span.held) as known_until
    from (
        select
            measure_code,
            period_code,
            delivery_id,
            {{ holds_alone('tstzrange(known_from, known_until)', ['measure_code', 'period_code']) }} as holds
        from {{ ref('int_delivery__contents') }}
        where dataset_id = {{ register }}
    ) as edition
    cross join lateral unnest(edition.holds) as span (held)
),

-- only those that are asked for: each costs a row per municipality of the country
reference_dates as (
    select distinct reference_date
    from {{ ref('int_period__parsed') }}
    where period_code in (select observed.period_code from observed)
),

-- Municipalities by the day they count on; a second time for the converted series, which count them as they are in the chosen
-- state whatever the day.
valid_municipalities as (
    select
        reference_dates.reference_date,
        state.counted_as,
        validity.territory_code,
        validity.county_code,
        validity.state_code,
        validity.is_unincorporated
    from reference_dates
    cross join lateral (
        values ('as_delivered', reference_dates.reference_date), ('converted', {{ territorial_state() }})
    ) as state (counted_as, counted_on)
    inner join {{ ref('int_territory__validity') }} as validity
        on
            validity.level = 'municipality'
            and state.counted_on between validity.valid_from and coalesce(validity.valid_to, date '9999-12-31')
),

expected as (
    select
        valid_municipalities.reference_date,
        valid_municipalities.counted_as,
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
    group by
        valid_municipalities.reference_date, valid_municipalities.counted_as, target.territory_code
),

-- Keys of a county that are none of its municipalities on that day, nor lead to one. What is ahead of its territory is one in the
-- chosen state. Parts of Berlin are delivered under counties that do not exist; they are in its number already.
unplaced as materialized (
    select distinct
        delivered.territory_code,
        delivered.period_code,
        period.reference_date,
        state.counted_as
    from {{ ref('int_delivery__municipalities') }} as delivered
    inner join {{ ref('int_period__parsed') }} as period
        on delivered.period_code = period.period_code
    cross join (values ('as_delivered'), ('converted')) as state (counted_as)
    where
        left(delivered.territory_code, 5) in (
            select county.territory_code from {{ ref('int_territory__validity') }} as county
            where county.level = 'county'
        )
        and not exists (
            select 1 from {{ ref('int_territory__validity') }} as unit
            where {{ valid_on('unit', 'delivered.territory_code', 'period.reference_date') }}
        )
        and not exists (
            select 1 from {{ ref('int_territory__lineage') }} as lineage
            where {{ booked_under_dead_key('delivered', 'period', 'lineage') }}
        )
        and not exists (
            select 1 from {{ ref('int_territory__changed') }} as ahead
            where
                state.counted_as = 'converted' and ahead.is_ahead
                and ahead.territory_code = delivered.territory_code and ahead.reference_date = period.reference_date
        )
),

-- A register knows its own municipalities; for other datasets those of the reference date count.
members as (
    select
        {% for column in member_columns %}
        observed.{{ column }},
        {% endfor %}
        greatest(observed.known_from, register_editions.known_from) as known_from,
        least(observed.known_until, register_editions.known_until) as known_until,
        period.reference_date,
        'as_delivered' as counted_as,
        left(observed.territory_code, 5) as county_code,
        left(observed.territory_code, 2) as state_code,
        false as is_counted
    from observed
    inner join {{ ref('int_period__parsed') }} as period
        on observed.period_code = period.period_code
    inner join register_editions
        on
            observed.measure_code = register_editions.measure_code
            and observed.period_code = register_editions.period_code
            and observed.delivery_id = register_editions.delivery_id
            and {{ hold_together('observed', 'register_editions') }}
    where
        observed.dataset_id = {{ register }}
        and length(observed.territory_code) = 8
        and observed.territorial_basis in ('both', 'as_delivered')
    union all
    select
        {% for column in member_columns %}
        observed.{{ column }},
        {% endfor %}
        -- what is null does not count
        greatest(observed.known_from, register_editions.known_from),
        least(observed.known_until, register_editions.known_until),
        period.reference_date,
        valid_municipalities.counted_as,
        valid_municipalities.county_code,
        valid_municipalities.state_code,
        not valid_municipalities.is_unincorporated
    from observed
    inner join {{ ref('int_period__parsed') }} as period
        on observed.period_code = period.period_code
    inner join valid_municipalities
        on
            observed.territory_code = valid_municipalities.territory_code
            and period.reference_date = valid_municipalities.reference_date
            and observed.territorial_basis in ('both', valid_municipalities.counted_as)
    left join register_editions
        on
            observed.dataset_id = {{ register }}
            and observed.measure_code = register_editions.measure_code
            and observed.period_code = register_editions.period_code
            and observed.delivery_id = register_editions.delivery_id
            and {{ hold_together('observed', 'register_editions') }}
    where
        observed.dataset_id <> {{ register }}
        or (valid_municipalities.counted_as = 'converted' and register_editions.delivery_id is not null)
    union all
    -- what nobody can place counts as a part that is not known
    select
        {% for column in member_columns %}
        {{ {
            'value': 'null', 'obs_status': "'M'", 'conf_status': "'F'", 'territorial_method': "'none'",
        }.get(column, 'observed.' ~ column) }},
        {% endfor %}
        observed.known_from,
        observed.known_until,
        unplaced.reference_date,
        unplaced.counted_as,
        left(observed.territory_code, 5),
        left(observed.territory_code, 2),
        false
    from observed
    inner join unplaced
        on observed.territory_code = unplaced.territory_code and observed.period_code = unplaced.period_code
    where
        observed.dataset_id <> {{ register }}
        and observed.territorial_basis in ('both', 'as_delivered')
        and observed.value is distinct from 0
        and not {{ says_nothing('observed') }}
),

parts as (
    select
        members.*,
        target.territory_code as target_code,
        case
            when members.counted_as = 'converted' then 'converted'
            when changed.territory_code is null then 'both'
            else 'as_delivered'
        end as target_basis
    from members
    inner join {{ ref('measures') }} as measure
        on members.measure_code = measure.measure_code and measure.is_additive_over_territory
    cross join lateral (values (members.county_code), (members.state_code)) as target (territory_code)
    left join {{ ref('int_territory__changed') }} as changed
        on target.territory_code = changed.territory_code and members.reference_date = changed.reference_date
    -- an unchanged unit is the same sum on both bases
    where members.counted_as = 'as_delivered' or changed.territory_code is not null
),

sums as (
    select
        parts.target_code as territory_code,
        {% for column in group_columns %}
        parts.{{ column }},
        {% endfor %}
        parts.dataset_id,
        parts.target_basis as territorial_basis,
        parts.counted_as,
        parts.reference_date,
        vintage.known_from,
        vintage.known_until,
        {{ sum_or_blocked('parts.value') }} as value,
        {{ combined_obs_status('parts.value', 'parts.obs_status', 'parts.conf_status') }} as obs_status,
        {{ combined_conf_status('parts.conf_status') }} as conf_status,
        max(parts.delivery_id) as delivery_id,
        max(parts.correction_id) as correction_id,
        bool_or(parts.territorial_method = 'none') as has_unconverted,
        count(*) as part_count,
        count(*) filter (where parts.is_counted) as municipality_count
    from parts
    {{ at_vintages('parts') }}
    group by
        parts.target_code,
        {% for column in group_columns %}
        parts.{{ column }},
        {% endfor %}
        parts.dataset_id, parts.target_basis, parts.counted_as, parts.reference_date,
        vintage.known_from, vintage.known_until
),

complete as (
    select sums.*
    from sums
    left join expected
        on
            sums.territory_code = expected.territory_code
            and sums.reference_date = expected.reference_date
            and sums.counted_as = expected.counted_as
    left join {{ ref('listings') }} as listing
        on sums.dataset_id = listing.dataset_id and sums.measure_code = listing.measure_code
    where
        (
            (sums.dataset_id = {{ register }} and sums.counted_as = 'as_delivered')
            or (listing.dataset_id is not null and length(sums.territory_code) = 5)
            or sums.municipality_count = expected.municipality_count
        )
        -- areas no county holds, such as coastal waters, are booked under a county number that does not exist
        and sums.territory_code in (
            select unit.territory_code
            from {{ ref('int_territory__validity') }} as unit
            where unit.level in ('county', 'state')
        )
),

told as (
    select
        {% for column in key_columns() + value_columns %}
        complete.{{ column }},
        {% endfor %}
        complete.part_count,
        case when complete.has_unconverted then 'none' else 'sum_of_municipalities' end as territorial_method
    from complete
    union all
    -- a county summed up as delivered that is there in the chosen state, and of whose municipalities there not all are known
    select
        {% for column in key_columns() + value_columns %}
        {{ {
            'value': 'null', 'obs_status': "'M'", 'conf_status': "'F'", 'territorial_basis': "'converted'",
        }.get(column, 'complete.' ~ column) }},
        {% endfor %}
        0,
        'none'
    from complete
    inner join {{ ref('int_territory__validity') }} as unit
        on {{ valid_on('unit', 'complete.territory_code', territorial_state()) }}
    where
        complete.territorial_basis = 'as_delivered'
        and not exists (
            select 1 from complete as converted
            where
                {% for column in key_columns() + ['dataset_id', 'known_from'] %}
                converted.{{ column }} = complete.{{ column }}
                and {% endfor %}converted.territorial_basis = 'converted'
        )
),

beside as (
    select
        told.*,
        own.territory_code is not null as has_own,
        coalesce(
            told.territorial_basis = 'converted'
            and told.value is not null
            and (own.obs_status = 'E' or own.territorial_method = 'none'),
            false
        ) as replaces_own
    from told
    left join observed as own
        on
            {% for column in key_columns() + ['dataset_id'] %}
            own.{{ column }} = told.{{ column }}
            and {% endfor %}{{ holds_at('own', 'told.known_from') }}
            -- what is ahead of its territory is there on both
            and own.territorial_basis in ('both', told.territorial_basis)
            and length(own.territory_code) < 8
)

select
    {% for column in key_columns() + value_columns %}
    {{ column }},
    {% endfor %}
    part_count,
    territorial_method,
    has_own and not replaces_own as is_beside_own,
    replaces_own
from beside
