{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Which periods of which measure a result is made of: what the rules of seed `period_rules` mean, in one place. Results exist
-- for the periods in which a term that leads was delivered - the numerator where it can, otherwise the denominator - and whose
-- reference date lies within the validity of the definition.
with delivered as (
    select distinct
        contents.measure_code,
        period.period_code,
        period.period_type,
        period.start_date
    from {{ ref('int_delivery__contents') }} as contents
    inner join {{ ref('int_period__parsed') }} as period
        on contents.period_code = period.period_code
),

led as (
    select
        term.indicator_code,
        term.definition_version,
        term.role,
        case
            when term.period_rule in ('same', 'rolling_12_sum') then delivered.period_code
            when term.period_rule in ('quarter_sum', 'quarter_mean') then {{ quarter_code('delivered.start_date') }}
            when term.period_rule = 'half_year_sum' then {{ half_year_code('delivered.start_date') }}
        end as period_code
    from {{ ref('int_indicator__terms') }} as term
    inner join delivered
        on term.measure_code = delivered.measure_code
    where
        term.period_rule = 'same'
        or (term.period_rule in ('quarter_sum', 'quarter_mean', 'rolling_12_sum') and delivered.period_type = 'month')
        or (term.period_rule = 'half_year_sum' and delivered.period_type = 'quarter')
),

results as (
    select distinct
        led.indicator_code,
        led.definition_version,
        led.period_code
    from led
    inner join {{ ref('int_period__parsed') }} as period
        on led.period_code = period.period_code
    inner join {{ ref('int_indicator__definitions') }} as definition
        on
            led.indicator_code = definition.indicator_code
            and led.definition_version = definition.definition_version
    where
        (
            led.role = 'numerator'
            or not exists (
                select 1 from led as numerator
                where
                    numerator.role = 'numerator'
                    and numerator.indicator_code = led.indicator_code
                    and numerator.definition_version = led.definition_version
            )
        )
        and (definition.valid_from is null or period.reference_date >= definition.valid_from)
        and (definition.valid_to is null or period.reference_date <= definition.valid_to)
),

cells as (
    select
        results.indicator_code,
        results.definition_version,
        results.period_code,
        term.role,
        term.term,
        term.measure_code,
        cell.cell_period_code,
        cell.cell_rank
    from results
    inner join {{ ref('int_period__parsed') }} as period
        on results.period_code = period.period_code
    inner join {{ ref('int_indicator__terms') }} as term
        on
            results.indicator_code = term.indicator_code
            and results.definition_version = term.definition_version
    cross join lateral (
        select
            results.period_code as cell_period_code,
            0 as cell_rank
        where term.period_rule = 'same'
        union all
        select
            (extract(year from period.start_date)::integer - 1)::text || '-12-31',
            0
        where term.period_rule = 'year_end_previous'
        union all
        select
            extract(year from period.start_date)::text || '-12-31',
            0
        where term.period_rule = 'year_end_same'
        union all
        -- 31 December on or before the first day; where nothing is known yet, up to two years earlier
        select
            (extract(year from period.start_date + 1)::integer - 1 - years)::text || '-12-31',
            years
        from generate_series(0, 2) as years
        where term.period_rule = 'latest_year_end'
        union all
        select
            to_char(period.start_date + months * interval '1 month', 'YYYY-MM'),
            0
        from generate_series(0, 2) as months
        where term.period_rule in ('quarter_sum', 'quarter_mean') and period.period_type = 'quarter'
        union all
        select
            {{ quarter_code("period.start_date + quarters * interval '3 months'") }},
            0
        from generate_series(0, 1) as quarters
        where term.period_rule = 'half_year_sum' and period.period_type = 'half_year'
        union all
        select
            to_char(period.start_date + months * interval '1 month', 'YYYY-MM'),
            0
        from generate_series(0, 11) as months
        where term.period_rule = 'year_mean' and period.period_type = 'year'
        union all
        select
            to_char(period.start_date - months * interval '1 month', 'YYYY-MM'),
            0
        from generate_series(0, 12) as months
        where
            period.period_type = 'month'
            and case term.period_rule
                when 'rolling_12_sum' then months < 12
                when 'rolling_12_mean_before' then months > 0
                when 'month_before' then months = 1
                when 'month_12_before' then months = 12
                else false
            end
        union all
        select
            to_char(period.end_date, 'YYYY-MM'),
            0
        where term.period_rule = 'last_month'
    ) as cell
    where
        cell.cell_rank = 0
        or exists (
            select 1 from delivered
            where delivered.measure_code = term.measure_code and delivered.period_code = cell.cell_period_code
        )
)

select
    indicator_code,
    definition_version,
    period_code,
    role,
    term,
    measure_code,
    cell_period_code,
    cell_rank,
    max(cell_rank) over (partition by indicator_code, definition_version, period_code, role, term) > 0
        as has_alternatives
from cells
