-- Over time stocks and rates are never summed, flows and year groups never averaged.
select
    term.indicator_code,
    term.definition_version,
    term.measure_code,
    measure.behaviour,
    term.period_rule
from {{ ref('indicator_terms') }} as term
inner join {{ ref('measures') }} as measure
    on term.measure_code = measure.measure_code
where
    (term.period_rule like '%sum%' and measure.behaviour not in ('flow', 'cohort'))
    or (term.period_rule like '%mean%' and measure.behaviour not in ('stock', 'average'))
