{{ config(severity='warn') }}
-- Who gives or takes territory is there to do it; two lists that contradict each other may say otherwise. (A circle is told by
-- territory_changes_lead_somewhere.)
select
    succession.old_code as territory_code,
    format(
        '%s goes into %s on %s, but %s is not valid %s.',
        succession.old_code,
        coalesce(succession.new_code, 'an unknown unit'),
        succession.effective_date,
        needed.territory_code,
        needed.wording
    ) as sentence
from {{ ref('int_territory__succession') }} as succession
cross join lateral (
    values
    (succession.old_code, succession.effective_date - 1, 'on the day before'),
    (succession.new_code, succession.effective_date, 'on that day')
) as needed (territory_code, day, wording)
where
    succession.level in ('municipality', 'county')
    and needed.territory_code is not null
    and not exists (
        select 1 from {{ ref('int_territory__validity') }} as unit
        where {{ valid_on('unit', 'needed.territory_code', 'needed.day') }}
    )
