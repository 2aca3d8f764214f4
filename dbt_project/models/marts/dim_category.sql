{{ config(materialized='incremental', incremental_strategy='replace') }}
select {{ surrogate_key(['category_code']) }} as category_key, category_code, category_name from (
select category as category_code, max(category_name) as category_name from {{ ref('int_observation__unioned') }} group by 1
union select 'total', null where not exists (select 1 from {{ ref('int_observation__unioned') }} where category='total')) as c
