-- Nobody succeeds himself: units that end in each other on one day lead nowhere. And who gives or takes territory is there to
-- do it.
select
    change.old_code as territory_code,
    change.old_code || ' goes on ' || change.effective_date || ' into units that end in it on the same day: a circle.' as message
from {{ ref('int_territory__change') }} as change
where change.is_cyclic
union all
select
    succession.new_code,
    succession.old_code || ' goes into ' || succession.new_code || ' on ' || succession.effective_date
    || ', but ' || succession.new_code || ' is not valid on that day.'
from {{ ref('int_territory__succession') }} as succession
where
    succession.level in ('municipality', 'county') and succession.new_code is not null
    and not exists (
        select 1 from {{ ref('int_territory__validity') }} as taker
        where
            taker.territory_code = succession.new_code
            and succession.effective_date between taker.valid_from and coalesce(taker.valid_to, date '9999-12-31')
    )
    and not exists (
        select 1 from {{ ref('int_territory__change') }} as change
        where change.is_cyclic and succession.old_code in (change.old_code, change.new_code)
    )
union all
select
    succession.old_code,
    succession.old_code || ' goes into ' || succession.new_code || ' on ' || succession.effective_date
    || ', but ' || succession.old_code || ' is not valid on the day before.'
from {{ ref('int_territory__succession') }} as succession
where
    succession.level in ('municipality', 'county')
    and not exists (
        select 1 from {{ ref('int_territory__validity') }} as giver
        where
            giver.territory_code = succession.old_code
            and succession.effective_date - 1 between giver.valid_from and coalesce(giver.valid_to, date '9999-12-31')
    )
