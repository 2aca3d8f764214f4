{{ config(
    materialized='table',
    unlogged=true,
    post_hook='analyze {{ this }}',
    indexes=[{'columns': ['level', 'old_code', 'effective_date']}],
) }}

-- Who became whom, complete: for every unit whose key or extent changed on a day all that became of it. To the stated changes
-- come the units that took something and stayed (`kept`), counties by what their municipalities did, and units that are gone
-- without anybody saying where to (`unknown`, no new key).
-- A merger of whole units takes in nothing but whole units: then sums under the old keys are the sum under the new key.
with municipal as (
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
        factor
    from {{ ref('int_territory__change') }}
    where level = 'municipality'
),

-- What the municipalities of a county amounted to on the day before something crossed its border.
crossed as (
    select distinct
        border.county_code,
        municipal.effective_date
    from municipal
    cross join lateral (values (left(municipal.old_code, 5)), (left(municipal.new_code, 5))) as border (county_code)
    where left(municipal.old_code, 5) <> left(municipal.new_code, 5)
),

members as (
    select
        crossed.county_code,
        crossed.effective_date,
        member.territory_code,
        edition.population,
        edition.area_km2 * 1000000 as area_m2
    from crossed
    inner join {{ ref('int_territory__validity') }} as member
        on
            crossed.county_code = member.county_code
            and member.level = 'municipality'
            and crossed.effective_date - 1
            between member.valid_from and coalesce(member.valid_to, date '9999-12-31')
    left join lateral (
        select
            closest.population,
            closest.area_km2
        from {{ ref('int_territory__edition') }} as closest
        where closest.territory_code = member.territory_code
        order by
            -- as it was on that day, if an edition shows it so
            exists (
                select 1 from municipal as since
                where
                    member.territory_code in (since.old_code, since.new_code)
                    and since.effective_date between
                    least(closest.edition_date + 1, crossed.effective_date)
                    and greatest(closest.edition_date, crossed.effective_date - 1)
            ),
            closest.edition_date >= crossed.effective_date,
            abs(closest.edition_date - crossed.effective_date)
        limit 1
    ) as edition on true
),

-- Which share of each went into which county. What is not told matters only where it crossed the border: the rest is one minus
-- what is known.
member_flows as (
    select
        members.county_code as old_code,
        part.new_code,
        members.effective_date,
        members.territory_code,
        members.population,
        members.area_m2,
        case
            when not part.is_untold then part.factor
            when count(*) filter (where part.is_untold) over of_member = 1
                then coalesce(part.factor, 0) + 1 - sum(coalesce(part.factor, 0)) over of_member
        end as factor
    from members
    inner join (
        select
            old_code as territory_code,
            effective_date,
            left(new_code, 5) as new_code,
            bool_or(factor is null) as is_untold,
            sum(factor) as factor
        from municipal
        group by old_code, effective_date, left(new_code, 5)
    ) as part
        on members.territory_code = part.territory_code and members.effective_date = part.effective_date
    window of_member as (partition by members.territory_code, members.effective_date)
    union all
    select
        members.county_code,
        members.county_code,
        members.effective_date,
        members.territory_code,
        members.population,
        members.area_m2,
        1
    from members
    where
        not exists (
            select 1 from municipal
            where municipal.old_code = members.territory_code and municipal.effective_date = members.effective_date
        )
),

flows as (
    select
        old_code,
        new_code,
        effective_date,
        case when count(*) = count(population * factor) then sum(population * factor) end as population,
        case when count(*) = count(area_m2 * factor) then sum(area_m2 * factor) end as area_m2,
        bool_or(factor is null or new_code is null) as is_untold
    from member_flows
    group by old_code, new_code, effective_date
),

-- Without a register nobody knows which municipalities a county had besides those a list names.
registered as (
    select distinct left(territory_code, 2) as state_code
    from {{ ref('int_territory__edition') }}
    where level = 'municipality'
),

county_flows as (
    select
        *,
        count(*) over of_county as flow_count,
        bool_or(is_untold) over of_county as is_county_untold,
        sum(population) over of_county as county_population,
        bool_and(population is not null) over of_county as has_populations,
        sum(area_m2) over of_county as county_area_m2,
        bool_and(area_m2 is not null) over of_county as has_areas,
        row_number() over (
            partition by old_code, effective_date order by new_code <> old_code, new_code
        ) = 1 as takes_the_rest
    from flows
    window of_county as (partition by old_code, effective_date)
),

county_shares as (
    select
        *,
        case
            when is_county_untold or left(old_code, 2) not in (select registered.state_code from registered) then 'none'
            when flow_count = 1 then 'exact_sum'
            when has_populations and county_population > 0 then 'factor_population'
            when has_areas and county_area_m2 > 0 then 'factor_area'
            else 'none'
        end as method
    from county_flows
),

county as (
    select
        'county' as level,
        old_code,
        new_code,
        effective_date,
        case
            when old_code = new_code then 'kept'
            when bool_or(old_code = new_code) over of_county then 'ceded'
            else 'dissolved'
        end as kind,
        area_m2,
        population,
        method,
        case when method = 'none' then 'no_sizes' end as reason,
        case
            when method = 'none' then null
            when takes_the_rest then 1 - coalesce(sum(share) filter (where not takes_the_rest) over of_county, 0)
            else share
        end as factor
    from (
        select
            *,
            case method
                when 'factor_population' then round(population / county_population, 12)
                when 'factor_area' then round(area_m2 / county_area_m2, 12)
            end as share
        from county_shares
    ) as shared
    window of_county as (partition by old_code, effective_date)
),

-- What a list says of a county itself counts where its municipalities do not tell.
of_larger_units as (
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
        factor,
        bool_and(method <> 'none') over (partition by level, old_code, effective_date) as is_told
    from {{ ref('int_territory__change') }}
    where level <> 'municipality'
),

stated as (
    select * from municipal
    union all
    select county.*
    from county
    where
        county.method <> 'none'
        or not exists (
            select 1 from of_larger_units as said
            where
                said.level = 'county' and said.is_told
                and said.old_code = county.old_code and said.effective_date = county.effective_date
        )
    union all
    select
        said.level,
        said.old_code,
        said.new_code,
        said.effective_date,
        said.kind,
        said.area_m2,
        said.population,
        said.method,
        said.reason,
        said.factor
    from of_larger_units as said
    where
        not exists (
            select 1 from county
            where
                county.old_code = said.old_code and county.effective_date = said.effective_date
                and (county.method <> 'none' or not said.is_told)
        )
),

complete as (
    select * from stated
    union all
    select distinct
        taker.level,
        taker.new_code,
        taker.new_code,
        taker.effective_date,
        'kept',
        null::numeric,
        null::numeric,
        'exact_sum',
        null,
        1::numeric
    from stated as taker
    inner join {{ ref('int_territory__validity') }} as validity
        on
            taker.new_code = validity.territory_code
            and taker.effective_date - 1
            between validity.valid_from and coalesce(validity.valid_to, date '9999-12-31')
    where
        not exists (
            select 1 from stated as giver
            where
                giver.level = taker.level
                and giver.old_code = taker.new_code
                and giver.effective_date = taker.effective_date
        )
    union all
    select
        validity.level,
        validity.territory_code,
        null,
        validity.valid_to + 1,
        'unknown',
        null,
        null,
        'none',
        'no_list',
        null
    from {{ ref('int_territory__validity') }} as validity
    where
        validity.valid_to is not null
        and validity.level in ('municipality', 'county')
        and not exists (
            select 1 from stated as giver
            where
                giver.level = validity.level
                and giver.old_code = validity.territory_code
                and giver.effective_date = validity.valid_to + 1
        )
),

-- What is known of a unit is what is known of all its parts; a part without inhabitants carries nothing, but its land came too.
judged as (
    select
        *,
        max({{ method_rank('method') }}) filter (where factor is null or factor = 0) over into_new as worst_rank,
        bool_and(coalesce(factor = 1, false) or old_code = new_code) over into_new as is_made_of_wholes,
        min(reason) over into_new as reason_of_new
    from complete
    window into_new as (partition by level, new_code, effective_date)
)

select
    level,
    old_code,
    new_code,
    effective_date,
    kind,
    round(area_m2) as area_m2,
    round(population) as population,
    {{ method_at('greatest(' ~ method_rank('method') ~ ', worst_rank)') }} as method,
    case when coalesce(worst_rank, 0) < {{ conversion_methods() | length }} then trim_scale(factor) end as factor,
    case
        when coalesce(worst_rank, 0) = {{ conversion_methods() | length }} then coalesce(reason, reason_of_new)
    end as reason,
    coalesce(old_code <> new_code and method = 'exact_sum' and is_made_of_wholes, false) as is_whole_unit_merger
from judged
