{{ config(severity='warn') }}
-- The parts a list of changes names are the whole unit: nothing more is moved than there was, and what left and what stayed is, by
-- area and inhabitants, the unit the register had before. A unit of which a list says otherwise is not converted.
select
    change.old_code as territory_code,
    case change.reason
        when 'more_than_there_was'
            then 'Of ' || change.old_code || ' more is moved on ' || change.effective_date || ' than the unit had.'
        else
            'The list of changes divides ' || change.old_code || ' on ' || change.effective_date || ' into parts of '
            || coalesce(round(sum(change.area_m2) / 1000000, 2)::text, '?') || ' km2 and '
            || coalesce(sum(change.population)::text, '?')
            || ' inhabitants, which is not what the register before has.'
    end as sentence
from {{ ref('int_territory__change') }} as change
where change.reason in ('more_than_there_was', 'not_as_in_register')
group by change.old_code, change.effective_date, change.reason
