{{ config(
    materialized='table',
    unlogged=true,
    post_hook='analyze {{ this }}',
    indexes=[{'columns': ['territory_code']}],
) }}

-- From when to when a unit existed: one row per key and uninterrupted validity, from editions of the register, changes and
-- baseline. A key without a known beginning counts as valid since 1900, without a known end as valid still.
-- A list names who took something in, but not whether it was new or there before. It was new when it took over another's key,
-- or when the first edition to have it shows no more land (or people) than it took, or when the edition of the day before does not have it;
-- where nothing of this tells, when several went into it. Land is measured anew by parts of a percent; people come and go.
{% set bounded = ['municipality', 'county', 'association'] %}
with coverage as (
    -- an edition says something about a key's absence only for the states and levels it covers
    select
        level,
        state_code,
        edition_date,
        row_number() over of_state as edition_number,
        lag(edition_date, 1, date '0001-01-01') over of_state as edition_before,
        lead(edition_date, 1, date '9999-12-31') over of_state as edition_after
    from (
        select distinct
            level,
            left(territory_code, 2) as state_code,
            edition_date
        from {{ ref('int_territory__edition') }}
        where level in ('{{ bounded | join("', '") }}')
    ) as covered
    window of_state as (partition by level, state_code order by edition_date)
),

-- Editions in a row that have the key, and those before and after that do not.
runs as (
    select
        territory_code,
        min(edition_before) as missing_before,
        min(edition_date) as first_seen,
        max(edition_date) as last_seen,
        max(edition_after) as missing_after
    from (
        select
            edition.territory_code,
            coverage.edition_before,
            edition.edition_date,
            coverage.edition_after,
            coverage.edition_number
            - row_number() over (partition by edition.territory_code order by edition.edition_date) as run
        from {{ ref('int_territory__edition') }} as edition
        inner join coverage
            on
                edition.level = coverage.level
                and left(edition.territory_code, 2) = coverage.state_code
                and edition.edition_date = coverage.edition_date
    ) as seen
    group by territory_code, run
),

changes as (
    select
        level,
        old_code as territory_code,
        effective_date,
        true as is_giver,
        coalesce(bool_or(old_code = new_code), false) as is_kept
    from {{ ref('int_territory__change') }}
    group by level, old_code, effective_date
    union all
    select distinct
        level,
        new_code,
        effective_date,
        false,
        true
    from {{ ref('int_territory__change') }}
    where new_code <> old_code and not is_cyclic
),

takings as (
    select
        level,
        new_code as territory_code,
        effective_date,
        bool_or(kind = 'rekeyed') as took_a_key,
        count(*) as giver_count,
        case when count(*) = count(area_m2) then sum(area_m2) end as area_m2,
        case when count(*) = count(population) then sum(population) end as population
    from {{ ref('int_territory__change') }}
    where new_code <> old_code and not is_cyclic
    group by level, new_code, effective_date
),

founded as (
    select
        takings.territory_code,
        takings.effective_date,
        coalesce(
            case when takings.took_a_key then true end,
            takings.area_m2 >= 0.95 * first_edition.area_km2 * 1000000,
            takings.population >= 0.75 * first_edition.population,
            not was_there.is_listed,
            takings.giver_count > 1
        ) as is_new
    from takings
    left join lateral (
        select
            edition.area_km2,
            edition.population
        from {{ ref('int_territory__edition') }} as edition
        where
            edition.territory_code = takings.territory_code
            and edition.edition_date >= takings.effective_date
            -- what it took or lost since would be in it too
            and not exists (
                select 1 from changes as since
                where
                    since.territory_code = takings.territory_code
                    and since.effective_date > takings.effective_date
                    and since.effective_date <= edition.edition_date
            )
        order by edition.edition_date
        limit 1
    ) as first_edition on true
    -- whether the edition of the day before has it; no row without such an edition
    left join lateral (
        select edition.territory_code is not null as is_listed
        from coverage
        left join {{ ref('int_territory__edition') }} as edition
            on
                takings.territory_code = edition.territory_code
                and coverage.edition_date = edition.edition_date
        where
            coverage.level = takings.level
            and coverage.state_code = left(takings.territory_code, 2)
            and coverage.edition_date = takings.effective_date - 1
    ) as was_there on true
),

-- What is known of a key on a day. Changes and baseline name the day itself, an edition only a day it was there or not.
marks as (
    select
        territory_code,
        effective_date - 1 as day,
        true as is_there,
        false as names_the_day
    from changes
    where is_giver
    union
    select
        territory_code,
        effective_date,
        bool_or(is_kept),
        not bool_or(is_kept)
    from changes
    group by territory_code, effective_date
    union
    select
        territory_code,
        effective_date,
        true,
        true
    from founded
    where is_new
    union
    select
        territory_code,
        effective_date - 1,
        true,
        false
    from founded
    where not is_new
    union
    -- a list names the end of a unit even where it does not name who took it in
    select
        ended.old_code,
        mark.day,
        mark.is_there,
        mark.names_the_day
    from {{ ref('stg_register__territorial_changes') }} as ended
    cross join lateral (
        values (ended.statistical_date - 1, true, false), (ended.statistical_date, false, true)
    ) as mark (day, is_there, names_the_day)
    where
        ended.change_type ~ '1' and ended.new_code is null and ended.statistical_date is not null
        and length(ended.old_code) in (5, 8)
    union
    select
        named.territory_code,
        named.day,
        true,
        false
    from (
        select
            old_code as territory_code,
            statistical_date - 1 as day
        from {{ ref('stg_register__territorial_changes') }}
        where old_code = new_code
        union all
        select
            new_code,
            statistical_date
        from {{ ref('stg_register__territorial_changes') }}
        where old_code = new_code
    ) as named
    where named.territory_code is not null and named.day is not null
    union
    select
        baseline.territory_code,
        mark.day,
        mark.is_there,
        true
    from {{ ref('territories') }} as baseline
    cross join lateral (
        values
        (baseline.valid_from - 1, false),
        (baseline.valid_from, true),
        (baseline.valid_to, true),
        (baseline.valid_to + 1, false)
    ) as mark (day, is_there)
    where mark.day is not null
    union
    select
        runs.territory_code,
        mark.day,
        mark.is_there,
        false
    from runs
    cross join lateral (
        values
        (runs.missing_before, false),
        (runs.first_seen, true),
        (runs.last_seen, true),
        (runs.missing_after, false)
    ) as mark (day, is_there)
    where mark.day not in (date '0001-01-01', date '9999-12-31')
    union
    -- a unit that first occurs in a list was not there before if an edition before does not have it
    select
        first_change.territory_code,
        missing.edition_date,
        false,
        false
    from (
        select
            level,
            territory_code,
            min(effective_date) as effective_date
        from changes
        group by level, territory_code
    ) as first_change
    cross join lateral (
        select max(coverage.edition_date) as edition_date
        from coverage
        where
            coverage.level = first_change.level
            and coverage.state_code = left(first_change.territory_code, 2)
            and coverage.edition_date < first_change.effective_date
    ) as missing
    where
        missing.edition_date is not null
        and not exists (
            select 1 from {{ ref('int_territory__edition') }} as edition
            where edition.territory_code = first_change.territory_code and edition.edition_date <= missing.edition_date
        )
    union
    -- and is gone if the edition after its last change does not have it
    select
        last_change.territory_code,
        missing.edition_date,
        false,
        false
    from (
        select
            level,
            territory_code,
            max(effective_date) as effective_date
        from changes
        group by level, territory_code
    ) as last_change
    cross join lateral (
        select min(coverage.edition_date) as edition_date
        from coverage
        where
            coverage.level = last_change.level
            and coverage.state_code = left(last_change.territory_code, 2)
            and coverage.edition_date >= last_change.effective_date
    ) as missing
    where
        missing.edition_date is not null
        and not exists (
            select 1 from {{ ref('int_territory__edition') }} as edition
            where edition.territory_code = last_change.territory_code and edition.edition_date >= missing.edition_date
        )
),

-- Of two statements on one day the one that names days counts.
agreed as (
    select distinct on (territory_code, day)
        territory_code,
        day,
        is_there,
        names_the_day
    from marks
    order by territory_code, day, names_the_day desc, is_there desc
),

neighboured as (
    select
        territory_code,
        day,
        is_there,
        names_the_day,
        lag(day) over of_code as day_before,
        lag(is_there) over of_code as was_there,
        lag(names_the_day) over of_code as before_names_the_day,
        lead(day) over of_code as day_after,
        lead(is_there) over of_code as will_be_there,
        lead(names_the_day) over of_code as after_names_the_day
    from agreed
    window of_code as (partition by territory_code order by day)
),

-- A row per beginning; its end is the next one's business.
spells as (
    select
        territory_code,
        case
            when names_the_day or day_before is null then day
            when before_names_the_day then day_before
            else day_before + 1
        end as day,
        day_before is null as is_unknown,
        true as is_beginning
    from neighboured
    where is_there and was_there is distinct from true
    union all
    select
        territory_code,
        case when after_names_the_day then day_after - 1 else day end,
        false,
        false
    from neighboured
    where is_there and not will_be_there
),

lives as (
    select
        territory_code,
        case when is_unknown then date '1900-01-01' else day end as valid_from,
        is_beginning,
        case when not next_is_beginning then next_day end as valid_to
    from (
        select
            *,
            lead(day) over of_code as next_day,
            lead(is_beginning) over of_code as next_is_beginning
        from spells
        window of_code as (partition by territory_code order by day, is_beginning desc)
    ) as paired
    where is_beginning
),

latest as (
    select distinct on (territory_code)
        territory_code,
        level,
        text_code
    from {{ ref('int_territory__edition') }}
    order by territory_code, edition_date desc
),

units as (
    select
        codes.territory_code,
        coalesce(latest.level, baseline.level, codes.level) as level,
        coalesce(coalesce(latest.text_code, baseline.text_code) in ('65', '66'), false) as is_unincorporated,
        latest.territory_code is not null as is_in_register
    from (
        select
            territory_code,
            min(level) as level
        from (
            select territory_code, level from latest
            union all
            select territory_code, level from {{ ref('territories') }}
            union all
            select old_code, {{ territory_level('old_code') }} from {{ ref('stg_register__territorial_changes') }}
            union all
            select new_code, {{ territory_level('new_code') }} from {{ ref('stg_register__territorial_changes') }}
        ) as named
        where territory_code is not null
        group by territory_code
    ) as codes
    left join latest on codes.territory_code = latest.territory_code
    left join {{ ref('territories') }} as baseline on codes.territory_code = baseline.territory_code
),

spans as (
    select
        units.territory_code,
        units.level,
        coalesce(lives.valid_from, date '1900-01-01') as valid_from,
        lives.valid_to,
        units.is_unincorporated,
        units.is_in_register
    from units
    left join lives on units.territory_code = lives.territory_code
),

-- A county is there as long as it has municipalities, where a register lists both.
counties as (
    select
        county_code,
        unnest(valid) as valid
    from (
        select
            left(territory_code, 5) as county_code,
            range_agg(daterange(valid_from, valid_to, '[]')) filter (where level = 'municipality') as valid
        from spans
        group by left(territory_code, 5)
        having
            bool_or(level = 'county' and is_in_register)
            and bool_or(level = 'municipality' and is_in_register)
    ) as with_municipalities
)

-- a county that an edition does not have while its municipalities are there was there all the same
select distinct
    spans.territory_code,
    spans.level,
    coalesce(lower(counties.valid), spans.valid_from) as valid_from,
    case when counties.county_code is null then spans.valid_to else upper(counties.valid) - 1 end as valid_to,
    case when spans.level <> 'country' then left(spans.territory_code, 2) end as state_code,
    case
        when spans.level in ('county', 'association', 'municipality') then left(spans.territory_code, 5)
    end as county_code,
    spans.is_unincorporated,
    spans.is_in_register
from spans
left join counties on spans.territory_code = counties.county_code
