{{ config(materialized='view') }}
select * from {{ ref('indicator_terms') }}
