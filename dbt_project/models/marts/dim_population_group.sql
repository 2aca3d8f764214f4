{{ config(materialized='incremental', incremental_strategy='replace') }}
with delivered as (select distinct nationality, sex, age_band from {{ ref('int_observation__unioned') }}
union select distinct nationality, sex, b.age_band from {{ ref('int_observation__unioned') }} cross join (select distinct age_band from {{ ref('age_band_members') }}) b),
closed as (
select distinct n.v as nationality, s.v as sex, a.v as age_band from delivered cross join lateral (values (nationality), ('total')) n (v) cross join lateral (values (sex), ('total')) s (v) cross join lateral (values (age_band), ('total')) a (v))
select {{ surrogate_key(['nationality', 'sex', 'age_band']) }} as population_group_key, * from closed
