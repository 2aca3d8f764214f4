{{ config(materialized='incremental', incremental_strategy='replace') }}

-- Without this, whoever asks why a county has no number on the territories of today would have to compare registers by hand.
select
    doubt.level,
    doubt.territory_code,
    territory.territory_name,
    doubt.to_date,
    doubt.reason,
    territory.territory_key
from {{ ref('int_territory__doubt') }} as doubt
inner join {{ ref('dim_territory') }} as territory
    on
        doubt.territory_code = territory.territory_code
        and {{ territorial_state() }} between territory.covers_from and territory.covers_to
