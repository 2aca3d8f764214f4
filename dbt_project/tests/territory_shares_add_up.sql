-- The parts a list of changes names are the whole unit: shares add up to one, nothing more is moved than there was, and what
-- left and what stayed is, by area and inhabitants, the unit the register had before. A unit that changed since that edition is
-- not compared. Surveys shift an area by parts of a percent, inhabitants come and go.
{% set area_tolerance, population_tolerance = 0.05, 0.25 %}
{% set query %}
with units as (
    select
        level,
        old_code,
        effective_date,
        sum(factor) as factor,
        bool_or(method = 'none') as is_untold,
        min(factor) as smallest,
        case when count(*) = count(area_m2) then sum(area_m2) end as area_m2,
        case when count(*) = count(population) then sum(population) end as population
    from {{ ref('int_territory__change') }}
    where not is_cyclic
    group by level, old_code, effective_date
),

compared as (
    select
        units.old_code,
        units.effective_date,
        units.area_m2,
        units.population,
        edition.edition_date,
        edition.area_km2 * 1000000 as register_area_m2,
        edition.population as register_population
    from units
    cross join lateral (
        select
            latest.edition_date,
            latest.area_km2,
            latest.population
        from {{ ref('int_territory__edition') }} as latest
        where latest.territory_code = units.old_code and latest.edition_date < units.effective_date
        order by latest.edition_date desc
        limit 1
    ) as edition
    where
        not exists (
            select 1 from {{ ref('int_territory__change') }} as since
            where
                units.old_code in (since.old_code, since.new_code)
                and since.effective_date > edition.edition_date
                and since.effective_date < units.effective_date
        )
)

select
    old_code as territory_code,
    'The shares of ' || old_code || ' on ' || effective_date || ' add up to ' || factor || ' instead of 1.' as sentence
from units
where not is_untold and (factor <> 1 or smallest < 0)
union all
select
    old_code,
    'Of ' || old_code || ' more is moved on ' || effective_date || ' than the unit had.'
from units
where is_untold and area_m2 is not null and population is not null
union all
select
    old_code,
    'The list of changes divides ' || old_code || ' on ' || effective_date || ' into parts of ' || round(area_m2 / 1000000, 2)
    || ' km2 and ' || coalesce(population::text, '?') || ' inhabitants; the register of ' || edition_date || ' has '
    || round(register_area_m2 / 1000000, 2) || ' km2 and '
    || coalesce(register_population::text, '?') || '.'
from compared
where
    abs(area_m2 - register_area_m2) > {{ area_tolerance }} * register_area_m2
    or abs(population - register_population) > greatest({{ population_tolerance }} * register_population, 50)
{% endset %}
{{ refuse_with_sentences(query) }}
