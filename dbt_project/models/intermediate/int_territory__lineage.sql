{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Dead key -> every key that later holds exactly its whole area, over several mergers in a row.
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
        on followed.new_code = succession.old_code and followed.effective_date <= succession.effective_date
    where succession.is_whole_unit_merger and succession.new_code <> followed.old_code
)

select
    followed.old_code,
    followed.new_code,
    followed.dead_from,
    validity.valid_from as new_valid_from,
    validity.valid_to as new_valid_to
from followed
inner join {{ ref('int_territory__validity') }} as validity
    on followed.new_code = validity.territory_code
