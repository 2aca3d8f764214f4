{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    conversion.level,
    conversion.old_code,
    conversion.from_date,
    conversion.to_date,
    conversion.new_code,
    conversion.method,
    conversion.factor,
    old.territory_name as old_name,
    new.territory_name as new_name,
    old.territory_key as old_territory_key,
    new.territory_key as new_territory_key
from {{ ref('int_territory__conversion') }} as conversion
inner join {{ ref('dim_territory') }} as old
    on conversion.old_code = old.territory_code and conversion.to_date between old.covers_from and old.covers_to
inner join {{ ref('dim_territory') }} as new
    on conversion.new_code = new.territory_code and {{ territorial_state() }} between new.covers_from and new.covers_to
