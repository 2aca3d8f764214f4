{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    framework_code,
    short_name,
    name_de,
    name_en,
    publisher
from {{ ref('frameworks') }}
