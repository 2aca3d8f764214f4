{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    {{ surrogate_key(['period_code']) }} as period_key,
    period_code,
    period_type,
    start_date,
    end_date,
    reference_date,
    year,
    case period_type
        when 'year' then 'Jahr ' || year
        when 'half_year' then right(period_code, 1) || '. Halbjahr ' || year
        when 'quarter' then right(period_code, 1) || '. Quartal ' || year
        when 'month' then to_char(start_date, 'MM/YYYY')
        when 'date' then to_char(start_date, 'DD.MM.YYYY')
        when 'school_year' then 'Schuljahr ' || year || '/' || to_char(end_date, 'YY')
        when 'guidance_year' then 'Berufsberatungsjahr ' || year || '/' || to_char(end_date, 'YY')
        when 'winter_half' then 'Winterhalbjahr ' || year || '/' || to_char(end_date, 'YY')
        when 'summer_half' then 'Sommerhalbjahr ' || year
    end as label_de,
    case period_type
        when 'year' then 'Year ' || year
        when 'half_year' then 'Half-year ' || right(period_code, 1) || ' of ' || year
        when 'quarter' then 'Quarter ' || right(period_code, 1) || ' of ' || year
        when 'month' then to_char(start_date, 'FMMonth YYYY')
        when 'date' then to_char(start_date, 'FMDD FMMonth YYYY')
        when 'school_year' then 'School year ' || year || '/' || to_char(end_date, 'YY')
        when 'guidance_year' then 'Vocational guidance year ' || year || '/' || to_char(end_date, 'YY')
        when 'winter_half' then 'Winter half-year ' || year || '/' || to_char(end_date, 'YY')
        when 'summer_half' then 'Summer half-year ' || year
    end as label_en
from {{ ref('int_period__parsed') }}
