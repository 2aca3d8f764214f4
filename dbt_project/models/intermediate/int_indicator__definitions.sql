{{ config(materialized='view') }}
select * from {{ ref('indicators') }}
