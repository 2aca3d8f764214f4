{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- With which earlier periods a result is compared: `step` 0 is its own, 1 the one before, 2 the one before that. A year with the
-- year before, a month with the same month of the year before, so that seasons do not show as changes; what comes once a term
-- with the term before. A break of a series (dim_series_break) in between makes results incomparable.
with periods as (
    select distinct
        needed.indicator_code,
        needed.definition_version,
        needed.period_code,
        period.period_type,
        period.start_date,
        period.reference_date,
        case when definition.frequency = 'term' then '' else to_char(period.start_date, 'MMDD') end as season
    from {{ ref('int_indicator__periods') }} as needed
    inner join {{ ref('int_period__parsed') }} as period
        on needed.period_code = period.period_code
    inner join {{ ref('int_indicator__definitions') }} as definition
        on
            needed.indicator_code = definition.indicator_code
            and needed.definition_version = definition.definition_version
),

breaks as (
    select distinct
        term.indicator_code,
        term.definition_version,
        series_break.territory_prefix,
        series_break.from_date,
        series_break.to_date
    from {{ ref('int_indicator__terms') }} as term
    inner join {{ ref('series_breaks') }} as series_break
        on
            term.measure_code = series_break.measure_code
            or term.indicator_code = series_break.indicator_code
            or (series_break.measure_code is null and series_break.indicator_code is null)
    where series_break.from_date is not null and series_break.kind <> 'law'
),

ordered as (
    select
        periods.*,
        lag(period_code, 1) over following as previous_period_code,
        lag(reference_date, 1) over following as previous_date,
        lag(period_code, 2) over following as second_period_code,
        lag(reference_date, 2) over following as second_date
    from periods
    window following as (
        partition by indicator_code, definition_version, period_type, season
        order by start_date
    )
),

steps as (
    select
        ordered.indicator_code,
        ordered.definition_version,
        ordered.period_code,
        ordered.reference_date,
        step.step,
        step.compared_period_code,
        step.compared_date
    from ordered
    cross join lateral (
        values
        (0, ordered.period_code, ordered.reference_date),
        (1, ordered.previous_period_code, ordered.previous_date),
        (2, ordered.second_period_code, ordered.second_date)
    ) as step (step, compared_period_code, compared_date)
    where step.compared_period_code is not null
)

select
    steps.indicator_code,
    steps.definition_version,
    steps.period_code,
    steps.step,
    steps.compared_period_code,
    -- key prefixes of territories for which a break lies between: '' is all of them
    coalesce(
        array_agg(distinct coalesce(breaks.territory_prefix, '')) filter (where breaks.from_date is not null),
        array[]::text[]
    ) as broken_for
from steps
left join breaks
    on
        steps.indicator_code = breaks.indicator_code
        and steps.definition_version = breaks.definition_version
        and (
            (steps.compared_date < breaks.from_date and steps.reference_date >= breaks.from_date)
            or (steps.step > 0 and breaks.to_date between steps.compared_date and steps.reference_date)
        )
group by
    steps.indicator_code, steps.definition_version, steps.period_code, steps.step, steps.compared_period_code
