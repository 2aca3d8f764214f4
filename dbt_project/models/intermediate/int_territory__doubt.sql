{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Units of the chosen state of which nobody can tell what they were made of before a day: numbers up to `to_date` have no
-- converted value. Two editions of the register differ and no list of changes says why: a unit is new in the later one, or it
-- has more or less land than before while others in its state came and went. Surveys move borders too, by far less than any
-- unit that ended; land no edition states is no proof that a unit stayed the same.
-- The same holds where a list names who got a part of a unit, but not how much; and where an office has numbers under the key of a
-- municipality that stands in no register and no list, and is gone by an edition: one of its county took it in, who knows which - or
-- it went to another county, so the number of its own is not to be trusted either. Who else might have got it, nothing tells.
{% set county, municipality = 0.005, 0.02 %}
with coverage as (
    select
        level,
        state_code,
        edition_date,
        lag(edition_date) over (partition by level, state_code order by edition_date) as edition_before
    from (
        select distinct
            'municipality' as level,
            left(territory_code, 2) as state_code,
            edition_date
        from {{ ref('int_territory__edition') }}
        where level = 'municipality'
    ) as covered
),

-- who came or went without a word, by the editions around it
unexplained as (
    select
        came.level,
        came.territory_code,
        came.valid_from as day,
        true as is_beginning
    from {{ ref('int_territory__validity') }} as came
    where
        came.level in ('municipality', 'county')
        and came.valid_from > date '1900-01-01'
        and not exists (
            select 1 from {{ ref('int_territory__succession') }} as told
            where
                told.level = came.level
                and told.new_code = came.territory_code
                and told.effective_date = came.valid_from
        )
    union all
    select
        level,
        old_code,
        effective_date,
        false
    from {{ ref('int_territory__succession') }}
    where kind = 'unknown'
),

gaps as (
    select
        unexplained.level,
        unexplained.territory_code,
        unexplained.day,
        unexplained.is_beginning,
        coverage.state_code,
        coverage.edition_before,
        coverage.edition_date
    from unexplained
    left join coverage
        on
            left(unexplained.territory_code, 2) = coverage.state_code
            and unexplained.day > coverage.edition_before
            and unexplained.day <= coverage.edition_date
),

-- land per unit and edition; that of a county is the land of its municipalities
land as (
    select
        unit.level,
        unit.territory_code,
        edition.edition_date,
        case when count(*) = count(edition.area_km2) then sum(edition.area_km2) end as area_km2
    from {{ ref('int_territory__edition') }} as edition
    cross join lateral (
        values ('municipality', edition.territory_code), ('county', left(edition.territory_code, 5))
    ) as unit (level, territory_code)
    where edition.level = 'municipality' and edition.edition_date in (
        select gaps.edition_before from gaps
        union
        select gaps.edition_date from gaps
    )
    group by unit.level, unit.territory_code, edition.edition_date
),

-- per state and pair of editions the smallest piece of land that may have gone anywhere
pieces as (
    select
        gaps.state_code,
        gaps.edition_before,
        gaps.edition_date,
        min(land.area_km2) as smallest_km2,
        array_agg(distinct left(gaps.territory_code, 5)) as county_codes
    from gaps
    left join land
        on
            gaps.level = land.level
            and gaps.territory_code = land.territory_code
            and case when gaps.is_beginning then gaps.edition_date else gaps.edition_before end = land.edition_date
    where gaps.edition_date is not null
    group by gaps.state_code, gaps.edition_before, gaps.edition_date
),

-- Keys of municipalities with numbers that no register and no list knows, and no edition after them has. What has numbers before
-- and after an edition without it never was a unit.
gone as (
    select
        delivered.territory_code,
        max(period.reference_date) as last_day
    from {{ ref('int_delivery__municipalities') }} as delivered
    inner join {{ ref('int_period__parsed') }} as period
        on delivered.period_code = period.period_code
    where
        delivered.territory_code not in (
            select unit.territory_code from {{ ref('int_territory__validity') }} as unit
        )
    group by delivered.territory_code
    having
        not exists (
            select 1 from coverage
            where
                coverage.state_code = left(delivered.territory_code, 2)
                and coverage.edition_date between min(period.reference_date) and max(period.reference_date)
        )
        and exists (
            select 1 from coverage
            where
                coverage.state_code = left(delivered.territory_code, 2)
                and coverage.edition_date > max(period.reference_date)
        )
),

doubts as (
    select
        level,
        territory_code,
        coalesce(edition_date, day) - 1 as to_date,
        'no_list_of_beginning' as reason
    from gaps
    where is_beginning
    union all
    select
        land_before.level,
        land_before.territory_code,
        pieces.edition_date - 1,
        'other_land_than_before'
    from pieces
    inner join land as land_before
        on
            pieces.state_code = left(land_before.territory_code, 2)
            and pieces.edition_before = land_before.edition_date
    inner join land as land_after
        on
            land_before.level = land_after.level
            and land_before.territory_code = land_after.territory_code
            and pieces.edition_date = land_after.edition_date
    -- what lists say of a unit between the two explains its land; then only who came and went in its county counts
    cross join lateral (
        select count(*) > 0 as is_explained
        from {{ ref('int_territory__succession') }} as known
        where
            known.level = land_before.level
            and land_before.territory_code in (known.old_code, known.new_code)
            and known.kind <> 'unknown'
            and known.effective_date > pieces.edition_before
            and known.effective_date <= pieces.edition_date
    ) as told
    where
        coalesce(
            case
                when not told.is_explained
                    then
                        abs(land_after.area_km2 - land_before.area_km2) > least(
                            pieces.smallest_km2 / 2,
                            land_before.area_km2
                            * case land_before.level when 'county' then {{ county }} else {{ municipality }} end
                        )
            end,
            left(land_before.territory_code, 5) = any(pieces.county_codes)
        )
    union all
    select
        unit.level,
        unit.territory_code,
        unit.to_date,
        'key_in_no_register'
    from (
        select
            'municipality' as level,
            territory_code,
            last_day as to_date
        from gone
        union all
        select
            'county',
            left(territory_code, 5),
            max(last_day)
        from gone
        group by left(territory_code, 5)
        union all
        select
            'municipality',
            neighbour.territory_code,
            max(gone.last_day)
        from gone
        inner join {{ ref('int_territory__validity') }} as neighbour
            on
                left(gone.territory_code, 5) = neighbour.county_code
                and neighbour.level = 'municipality'
                and not neighbour.is_unincorporated
                and {{ valid_on('neighbour', 'neighbour.territory_code', territorial_state()) }}
        group by neighbour.territory_code
    ) as unit
)

-- what a unit of doubtful origin went into since is of doubtful origin too, as is who got an unknown share of another
select
    level,
    territory_code,
    max(to_date) as to_date,
    (array_agg(reason order by to_date desc, reason))[1] as reason
from (
    select
        doubts.level,
        coalesce(onward.new_code, doubts.territory_code) as territory_code,
        doubts.to_date,
        doubts.reason
    from doubts
    left join {{ ref('int_territory__conversion') }} as onward
        on
            doubts.level = onward.level
            and doubts.territory_code = onward.old_code
            and doubts.to_date + 1 between onward.from_date and onward.to_date
            and doubts.to_date + 1 < onward.ends_on
            and onward.factor is distinct from 0
    where doubts.to_date < {{ territorial_state() }}
    union all
    -- who got some of it before an edition had it
    select
        gaps.level,
        onward.new_code,
        onward.ends_on - 1,
        'no_list_of_beginning'
    from gaps
    inner join {{ ref('int_territory__conversion') }} as onward
        on
            gaps.level = onward.level
            and gaps.territory_code = onward.old_code
            and gaps.day < onward.ends_on
            and gaps.edition_date >= onward.ends_on
            and onward.factor is distinct from 0
    where gaps.is_beginning and onward.new_code is not null
    union all
    select
        conversion.level,
        reached.territory_code,
        conversion.ends_on - 1,
        'unknown_share'
    from {{ ref('int_territory__conversion') }} as conversion
    cross join lateral unnest(string_to_array(conversion.may_have_reached, ',')) as reached (territory_code)
) as known
group by level, territory_code
