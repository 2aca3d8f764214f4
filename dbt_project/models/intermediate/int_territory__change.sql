{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- What happened to a unit on a day, as official lists and baseline state it: one row per giving unit, taking unit and day,
-- with the share that went. The rows of a unit and day are the whole of it; what it keeps is a row from it to itself.
-- Shares follow the inhabitants a list states, without these the area. What neither tells has no factor, nor has what a list
-- says against itself or against the register (`reason`): a row of an official list is a statement, not a fact.
-- Surveys shift an area by parts of a percent, inhabitants come and go.
{% set area_tolerance, population_tolerance = 0.05, 0.25 %}
{% set took_nobody = "judged.method = 'none' and judged.rest_code is not null and moves.population = 0" %}
with recursive latest_lists as (
    select distinct on (change_id)
        change_id,
        delivery_id
    from {{ ref('stg_register__territorial_changes') }}
    order by change_id, known_from desc, delivery_id desc
),

-- A new name, or a new association of the same municipality, is no change of territory.
listed as (
    select distinct
        change.change_id,
        {{ territory_level('change.old_code') }} as level,
        change.old_code,
        change.new_code,
        change.statistical_date as effective_date,
        case
            when change.change_type ~ '1' then 'dissolved'
            when change.change_type ~ '3' then 'rekeyed'
            when change.old_code = change.new_code then 'kept'
            else 'ceded'
        end as kind,
        change.area_m2,
        change.population
    from {{ ref('stg_register__territorial_changes') }} as change
    inner join latest_lists
        on change.change_id = latest_lists.change_id and change.delivery_id = latest_lists.delivery_id
    where
        length(change.old_code) = length(change.new_code)
        and change.statistical_date is not null
        and (change.change_type ~ '2' or (change.change_type ~ '[13]' and change.old_code <> change.new_code))
),

stated as (
    select * from listed
    union all
    select
        'baseline',
        baseline.level,
        baseline.territory_code,
        baseline.successor_code,
        baseline.valid_to + 1,
        'dissolved',
        null,
        null
    from {{ ref('territories') }} as baseline
    where
        baseline.successor_code is not null and baseline.valid_to is not null
        and not exists (
            select 1 from listed
            where listed.old_code = baseline.territory_code and listed.effective_date = baseline.valid_to + 1
        )
),

-- Per unit and day: where the rest stays. A new key takes all that is not said to go elsewhere.
units as (
    select
        level,
        old_code,
        effective_date,
        count(distinct new_code) filter (where kind = 'rekeyed') = 1
        and bool_and(kind <> 'dissolved') as has_one_new_key,
        case
            when bool_or(kind = 'dissolved') then null
            when count(distinct new_code) filter (where kind = 'rekeyed') = 1
                then min(new_code) filter (where kind = 'rekeyed')
            when bool_and(kind <> 'rekeyed') then old_code
        end as rest_code,
        bool_or(kind = 'kept') as has_stated_rest
    from stated
    group by level, old_code, effective_date
    having bool_or(kind <> 'kept')
),

moves as (
    select
        stated.level,
        stated.old_code,
        stated.effective_date,
        stated.new_code,
        min(stated.kind) as kind,
        case when count(*) = count(stated.population) then sum(stated.population) end as population,
        case when count(*) = count(stated.area_m2) then sum(stated.area_m2) end as area_m2
    from stated
    inner join units
        on
            stated.level = units.level
            and stated.old_code = units.old_code
            and stated.effective_date = units.effective_date
    where stated.kind <> 'kept' and not (stated.kind = 'rekeyed' and units.has_one_new_key)
    group by stated.level, stated.old_code, stated.effective_date, stated.new_code
),

moved as (
    select
        level,
        old_code,
        effective_date,
        count(*) as move_count,
        case when count(*) = count(population) then sum(population) end as population,
        case when count(*) = count(area_m2) then sum(area_m2) end as area_m2
    from moves
    group by level, old_code, effective_date
),

-- A unit that cedes parts to several others on one day states its rest once per change.
stated_wholes as (
    select
        old_code,
        effective_date,
        max(population) as population,
        max(area_m2) as area_m2
    from (
        select
            change_id,
            old_code,
            effective_date,
            case when count(*) = count(population) then sum(population) end as population,
            case when count(*) = count(area_m2) then sum(area_m2) end as area_m2
        from stated
        where kind in ('kept', 'ceded')
        group by change_id, old_code, effective_date
        having bool_or(kind = 'kept')
    ) as per_change
    group by old_code, effective_date
),

wholes as (
    select
        units.level,
        units.old_code,
        units.effective_date,
        units.rest_code,
        coalesce(moved.move_count, 0) as move_count,
        case
            when units.rest_code is null then moved.population
            when units.has_stated_rest then stated_wholes.population
            else edition.population
        end as population,
        case
            when units.rest_code is null then moved.area_m2
            when units.has_stated_rest then stated_wholes.area_m2
            else edition.area_km2 * 1000000
        end as area_m2,
        moved.population as moved_population,
        moved.area_m2 as moved_area_m2,
        comparable.population as register_population,
        comparable.area_m2 as register_area_m2
    from units
    left join moved
        on
            units.level = moved.level
            and units.old_code = moved.old_code
            and units.effective_date = moved.effective_date
    left join stated_wholes
        on units.old_code = stated_wholes.old_code and units.effective_date = stated_wholes.effective_date
    left join lateral (
        select
            latest.population,
            latest.area_km2,
            latest.edition_date
        from {{ ref('int_territory__edition') }} as latest
        where latest.territory_code = units.old_code and latest.edition_date < units.effective_date
        order by latest.edition_date desc
        limit 1
    ) as edition on true
    -- a unit that changed since that edition is another one
    left join lateral (
        select
            edition.population,
            edition.area_km2 * 1000000 as area_m2
        where
            not exists (
                select 1 from stated as since
                where
                    units.old_code in (since.old_code, since.new_code)
                    and since.effective_date > edition.edition_date
                    and since.effective_date < units.effective_date
            )
    ) as comparable on true
),

checked as (
    select
        *,
        case
            when moved_area_m2 > area_m2 or moved_population > population then 'more_than_there_was'
            when
                abs(area_m2 - register_area_m2) > {{ area_tolerance }} * register_area_m2
                or abs(population - register_population)
                > greatest({{ population_tolerance }} * register_population, 50)
                then 'not_as_in_register'
        end as contradiction
    from wholes
),

judged as (
    select
        *,
        case
            when contradiction is not null then 'none'
            when move_count = 0 or (move_count = 1 and rest_code is null) then 'exact_sum'
            when population > 0 and moved_population <= population then 'factor_population'
            when area_m2 > 0 and moved_area_m2 <= area_m2 then 'factor_area'
            else 'none'
        end as method
    from checked
),

shared as (
    select
        judged.level,
        judged.old_code,
        moves.new_code,
        judged.effective_date,
        moves.kind,
        moves.area_m2,
        moves.population,
        -- who took land without people took no people, whatever is wrong with what the list says of the rest
        case when {{ took_nobody }} then 'factor_population' else judged.method end
            as method,
        case
            when {{ took_nobody }} then null
            else coalesce(judged.contradiction, case when judged.method = 'none' then 'no_sizes' end)
        end as reason,
        case judged.method
            when 'exact_sum' then 1
            when 'factor_population' then round(moves.population / judged.population, 12)
            when 'factor_area' then round(moves.area_m2 / judged.area_m2, 12)
            when 'none' then case when {{ took_nobody }} then 0 end
        end as share
    from judged
    inner join moves
        on
            judged.level = moves.level
            and judged.old_code = moves.old_code
            and judged.effective_date = moves.effective_date
    union all
    select
        judged.level,
        judged.old_code,
        judged.rest_code,
        judged.effective_date,
        case when judged.rest_code = judged.old_code then 'kept' else 'rekeyed' end,
        judged.area_m2 - coalesce(judged.moved_area_m2, 0),
        judged.population - coalesce(judged.moved_population, 0),
        judged.method,
        coalesce(judged.contradiction, case when judged.method = 'none' then 'no_sizes' end),
        case judged.method
            when 'exact_sum' then 1
            when 'factor_population' then round(1 - judged.moved_population / judged.population, 12)
            when 'factor_area' then round(1 - judged.moved_area_m2 / judged.area_m2, 12)
        end
    from judged
    where judged.rest_code is not null
),

-- The largest of a unit's parts takes what is left, so that shares add up to one and not to nearly one; a part without people would
-- become less than nothing.
ranked as (
    select
        *,
        row_number() over (
            partition by level, old_code, effective_date order by share desc nulls first, new_code desc
        ) = 1 as takes_the_rest
    from shared
),

divided as (
    select
        level,
        old_code,
        new_code,
        effective_date,
        kind,
        area_m2,
        population,
        method,
        reason,
        case
            when method = 'none' then null
            when takes_the_rest
                then 1 - coalesce(
                    sum(share) filter (where not takes_the_rest) over (partition by level, old_code, effective_date), 0
                )
            else share
        end as factor,
        bool_or(old_code = new_code) over (partition by level, old_code, effective_date) as is_kept
    from ranked
),

-- What goes into a unit that ends on the same day goes on to where that unit went. Units that end in each other go nowhere.
followed as (
    select
        level,
        old_code,
        new_code,
        effective_date,
        kind,
        area_m2,
        population,
        {{ method_rank('method') }} as method_rank,
        reason,
        factor,
        array[old_code] as path,
        false as is_cyclic
    from divided
    union all
    select
        followed.level,
        followed.old_code,
        onward.new_code,
        followed.effective_date,
        followed.kind,
        followed.area_m2 * onward.factor,
        followed.population * onward.factor,
        greatest(followed.method_rank, {{ method_rank('onward.method') }}),
        coalesce(followed.reason, onward.reason),
        followed.factor * onward.factor,
        followed.path || onward.old_code,
        onward.new_code = any(followed.path || onward.old_code)
    from followed
    inner join divided as onward
        on
            followed.level = onward.level
            and followed.new_code = onward.old_code
            and followed.effective_date = onward.effective_date
    where not followed.is_cyclic and not onward.is_kept
),

summed as (
    select
        level,
        old_code,
        case when not is_cyclic then new_code end as new_code,
        effective_date,
        min(kind) as kind,
        sum(area_m2) as area_m2,
        sum(population) as population,
        case when bool_or(is_cyclic) then 'none' else {{ method_at('max(method_rank)') }} end as method,
        case when not bool_or(is_cyclic or factor is null) then trim_scale(sum(factor)) end as factor,
        case when bool_or(is_cyclic) then 'circle' else min(reason) end as reason,
        bool_or(is_cyclic) as is_cyclic
    from followed
    where
        is_cyclic
        or not exists (
            select 1 from divided as onward
            where
                onward.level = followed.level
                and onward.old_code = followed.new_code
                and onward.effective_date = followed.effective_date
                and not onward.is_kept
        )
    group by level, old_code, case when not is_cyclic then new_code end, effective_date
),

-- Whatever a list says, shares that are not one whole move nobody: that is the unit's own matter and ends no build.
sound as (
    select
        *,
        bool_or(factor is null) over of_unit
        or (sum(factor) over of_unit = 1 and min(factor) over of_unit >= 0) as is_sound
    from summed
    window of_unit as (partition by level, old_code, effective_date)
)

select
    level,
    old_code,
    new_code,
    effective_date,
    kind,
    area_m2,
    population,
    case when is_sound then method else 'none' end as method,
    case when is_sound then factor end as factor,
    case when is_sound then reason else coalesce(reason, 'more_than_there_was') end as reason,
    is_cyclic
from sound
