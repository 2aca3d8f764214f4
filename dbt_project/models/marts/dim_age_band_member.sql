{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    age_band,
    variant,
    member as member_age_band
from {{ ref('age_band_members') }}
