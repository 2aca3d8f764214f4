{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Dead key -> every key that later holds exactly its whole area, over several mergers in a row. A key that comes to life again
-- is no longer dead. Days only ever go forward, so no succession can lead here in a circle.
with recursive followed as (
    select
        old_code,
        new_code,
        effective_date as dead_from,
        effective_date
    from {{ ref('int_territory__succession') }}
    where is_whole_unit_merger
    union
    select
        followed.old_code,
        succession.new_code,
        followed.dead_from,
        succession.effective_date
    from followed
    inner join {{ ref('int_territory__succession') }} as succession
        on followed.new_code = succession.old_code and followed.effective_date < succession.effective_date
    where succession.is_whole_unit_merger and succession.new_code <> followed.old_code
),

reborn as (
    select
        followed.old_code,
        followed.dead_from,
        min(validity.valid_from) as alive_from
    from (select distinct old_code, dead_from from followed) as followed
    inner join {{ ref('int_territory__validity') }} as validity
        on followed.old_code = validity.territory_code and followed.dead_from <= validity.valid_from
    group by followed.old_code, followed.dead_from
)

select
    followed.old_code,
    followed.new_code,
    followed.dead_from,
    validity.valid_from as new_valid_from,
    least(validity.valid_to, reborn.alive_from - 1) as new_valid_to
from followed
inner join {{ ref('int_territory__validity') }} as validity
    on followed.new_code = validity.territory_code
left join reborn
    on followed.old_code = reborn.old_code and followed.dead_from = reborn.dead_from
where validity.valid_from < coalesce(reborn.alive_from, date '9999-12-31')
