{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    indexes=[{'columns': ['old_code', 'effective_date']}],
    post_hook='{{ create_territory_conversion() }}',
) }}

select
    {{ surrogate_key([
        'succession.old_code', 'succession.effective_date::text', "coalesce(succession.new_code, '')",
    ]) }} as territory_change_key,
    succession.level,
    succession.old_code,
    succession.new_code,
    succession.effective_date,
    succession.kind,
    succession.method,
    succession.factor,
    succession.reason,
    succession.population,
    succession.area_m2,
    old.territory_name as old_name,
    new.territory_name as new_name,
    old.territory_key as old_territory_key,
    new.territory_key as new_territory_key
from {{ ref('int_territory__succession') }} as succession
inner join {{ ref('dim_territory') }} as old
    on
        succession.old_code = old.territory_code
        and succession.effective_date - 1 between old.covers_from and old.covers_to
left join {{ ref('dim_territory') }} as new
    on
        succession.new_code = new.territory_code
        and succession.effective_date between new.covers_from and new.covers_to
