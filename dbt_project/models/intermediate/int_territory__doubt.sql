{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Units of the chosen state of which nobody can tell what they were made of before a day: numbers up to `to_date` have no
-- converted value. Two editions of the register differ and no list of changes says why: a unit is new in the later one, or it
-- has more or less land than what the lists made of the units before, while others in its state came and went. Surveys move
-- borders too, by far less than any unit that ended; land no edition states is no proof that a unit stayed the same.
-- The same holds where a list names who got a part of a unit, but not how much; and where an office has numbers under the key of a
-- municipality that stands in no register and no list, and is gone by an edition: one of its county took it in, who knows which - or
-- it went to another county, so the number of its own is not to be trusted either. Who else might have got it, nothing tells.
{% set county, municipality = 0.005, 0.02 %}
with recursive coverage as (
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

-- What lists say became of the land of a municipality; what several got without the list stating how much goes nobody knows where.
told as (
    select
        old_code,
        new_code,
        effective_date,
        sum(area_m2) over of_unit / 1000000 as area_km2,
        case
            when count(*) over of_unit = 1 then 1
            when count(area_m2) over of_unit = count(*) over of_unit then area_m2 / nullif(sum(area_m2) over of_unit, 0)
        end as share
    from {{ ref('int_territory__succession') }}
    where level = 'municipality' and new_code is not null
    window of_unit as (partition by old_code, effective_date)
),

-- The land of the earlier edition as the lists carry it to the later one. A unit that came between the two without a word has the
-- land it gave by the list, out of that of its county. Who went without a word is still there.
carried as (
    select
        pieces.edition_before,
        pieces.edition_date,
        land.territory_code as old_code,
        false as is_of_county,
        land.territory_code,
        pieces.edition_before as day,
        land.area_km2
    from pieces
    inner join land
        on
            pieces.state_code = left(land.territory_code, 2)
            and pieces.edition_before = land.edition_date
            and land.level = 'municipality'
    union all
    select
        gaps.edition_before,
        gaps.edition_date,
        gaps.territory_code,
        true,
        gaps.territory_code,
        first_gift.effective_date - 1,
        first_gift.area_km2
    from gaps
    cross join lateral (
        select
            told.effective_date,
            told.area_km2
        from told
        where
            told.old_code = gaps.territory_code
            and told.effective_date > gaps.day
            and told.effective_date <= gaps.edition_date
        order by told.effective_date
        limit 1
    ) as first_gift
    where gaps.is_beginning and gaps.level = 'municipality'
    union all
    select
        carried.edition_before,
        carried.edition_date,
        carried.old_code,
        carried.is_of_county,
        told.new_code,
        told.effective_date,
        carried.area_km2 * told.share
    from carried
    inner join told
        on
            carried.territory_code = told.old_code
            and told.effective_date = (
                select min(onward.effective_date)
                from {{ ref('int_territory__succession') }} as onward
                where
                    onward.level = 'municipality'
                    and onward.old_code = carried.territory_code
                    and onward.new_code is not null
                    and onward.effective_date > carried.day
                    and onward.effective_date <= carried.edition_date
            )
),

expected as (
    select
        unit.level,
        unit.territory_code,
        carried.edition_before,
        carried.edition_date,
        case
            when count(*) = count(carried.area_km2) then sum(carried.area_km2 * unit.sign)
        end as area_km2
    from carried
    -- who went without a word went with its county, if that went into one
    left join {{ ref('int_territory__succession') }} as county
        on
            left(carried.territory_code, 5) = county.old_code
            and county.level = 'county'
            and county.factor = 1
            and county.new_code <> county.old_code
            and carried.day < county.effective_date
            and carried.edition_date >= county.effective_date
    cross join lateral (
        values
        ('municipality', carried.territory_code, 1),
        ('county', coalesce(county.new_code, left(carried.territory_code, 5)), 1),
        ('county', case when carried.is_of_county then left(carried.old_code, 5) end, -1)
    ) as unit (level, territory_code, sign)
    where
        unit.territory_code is not null
        -- what came out of a county's land and stayed in it makes no difference to the county
        and not (
            unit.level = 'county' and carried.is_of_county
            and left(carried.territory_code, 5) = left(carried.old_code, 5)
        )
        and not exists (
            select 1 from {{ ref('int_territory__succession') }} as onward
            where
                onward.level = 'municipality'
                and onward.old_code = carried.territory_code
                and onward.new_code is not null
                and onward.effective_date > carried.day
                and onward.effective_date <= carried.edition_date
        )
    group by unit.level, unit.territory_code, carried.edition_before, carried.edition_date
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
        expected.level,
        expected.territory_code,
        pieces.edition_date - 1,
        'other_land_than_before'
    from pieces
    inner join expected
        on
            pieces.state_code = left(expected.territory_code, 2)
            and pieces.edition_before = expected.edition_before
            and pieces.edition_date = expected.edition_date
    inner join land
        on
            expected.level = land.level
            and expected.territory_code = land.territory_code
            and pieces.edition_date = land.edition_date
    where
        coalesce(
            abs(land.area_km2 - expected.area_km2) > least(
                pieces.smallest_km2 / 2,
                expected.area_km2 * case expected.level when 'county' then {{ county }} else {{ municipality }} end
            ),
            left(expected.territory_code, 5) = any(pieces.county_codes)
        )
    union all
    -- the share of a county that changed hands is one of all its people: of those of a county who came and went without a word nobody
    -- knows how many it had that day
    select
        shared.level,
        shared.new_code,
        shared.effective_date - 1,
        'unknown_share'
    from {{ ref('int_territory__succession') }} as shared
    inner join pieces
        on
            left(shared.old_code, 2) = pieces.state_code
            and shared.effective_date > pieces.edition_before
            and shared.effective_date <= pieces.edition_date
            and shared.old_code = any(pieces.county_codes)
    where shared.level = 'county' and shared.method in ('factor_population', 'factor_area') and shared.factor <> 0
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
