{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Every period code that occurs, and the longer ones that months and quarters make up, taken apart. The reference date decides which state of the territories a number is read
-- in: the last day of the period, for school years 31 December, the date the school statistics are tabulated for.
with delivered as (
    select distinct period_code from {{ ref('int_delivery__contents') }}
),

codes as (
    select period_code from delivered
    union
    select {{ quarter_code("(period_code || '-01')::date") }} from delivered
    where period_code ~ '^[0-9]{4}-[0-9]{2}$'
    union
    select left(period_code, 5) || case when right(period_code, 1) in ('1', '2') then 'H1' else 'H2' end from delivered
    where period_code ~ '^[0-9]{4}-Q[1-4]$'
),

parsed as (
    select
        period_code,
        substring(period_code from '[0-9]{4}')::integer as year,
        case
            when period_code ~ '^[0-9]{4}$' then 'year'
            when period_code ~ '^[0-9]{4}-H[12]$' then 'half_year'
            when period_code ~ '^[0-9]{4}-Q[1-4]$' then 'quarter'
            when period_code ~ '^[0-9]{4}-[0-9]{2}$' then 'month'
            when period_code ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then 'date'
            when period_code ~ '^SY[0-9]{4}$' then 'school_year'
            when period_code ~ '^AY[0-9]{4}$' then 'guidance_year'
            when period_code ~ '^WH[0-9]{4}$' then 'winter_half'
            when period_code ~ '^SH[0-9]{4}$' then 'summer_half'
        end as period_type
    from codes
),

started as (
    select
        period_code,
        year,
        period_type,
        case period_type
            when 'year' then make_date(year, 1, 1)
            when 'half_year' then make_date(year, case right(period_code, 1) when '1' then 1 else 7 end, 1)
            when 'quarter' then make_date(year, right(period_code, 1)::integer * 3 - 2, 1)
            when 'month' then (period_code || '-01')::date
            when 'date' then period_code::date
            when 'school_year' then make_date(year, 8, 1)
            when 'summer_half' then make_date(year, 4, 1)
            else make_date(year, 10, 1)
        end as start_date,
        case period_type
            when 'year' then interval '1 year'
            when 'half_year' then interval '6 months'
            when 'quarter' then interval '3 months'
            when 'month' then interval '1 month'
            when 'date' then interval '1 day'
            when 'school_year' then interval '1 year'
            when 'guidance_year' then interval '1 year'
            else interval '6 months'
        end as duration
    from parsed
)

select
    period_code,
    period_type,
    year,
    start_date,
    (start_date + duration - interval '1 day')::date as end_date,
    case
        when period_type = 'school_year' then make_date(year, 12, 31)
        else (start_date + duration - interval '1 day')::date
    end as reference_date
from started
