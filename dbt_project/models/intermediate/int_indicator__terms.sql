{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- The formulas of the indicators in delivered measures only: a measure with a formula is replaced by its parts, as deep as it
-- goes; beside each what its rule takes and its measure allows. A formula that comes back to itself ends there; the test `formulas_are_sound` has refused it before.
with recursive expanded as (
    select
        term.indicator_code,
        term.definition_version,
        term.role,
        array[term.term] as place,
        array[term.measure_code] as path,
        term.sign,
        term.measure_code,
        term.nationality,
        term.sex,
        term.age_band,
        term.category,
        term.period_rule,
        term.dataset_rule,
        term.is_optional
    from {{ ref('indicator_terms') }} as term
    union all
    select
        expanded.indicator_code,
        expanded.definition_version,
        expanded.role,
        expanded.place || formula.term,
        expanded.path || formula.part_measure_code,
        expanded.sign * formula.sign,
        formula.part_measure_code,
        expanded.nationality,
        expanded.sex,
        expanded.age_band,
        expanded.category,
        expanded.period_rule,
        expanded.dataset_rule,
        expanded.is_optional
    from expanded
    inner join {{ ref('measure_formulas') }} as formula
        on expanded.measure_code = formula.measure_code
    where formula.part_measure_code <> all(expanded.path)
)

select
    expanded.indicator_code,
    expanded.definition_version,
    expanded.role,
    row_number() over (
        partition by expanded.indicator_code, expanded.definition_version, expanded.role
        order by expanded.place
    )::integer as term,
    expanded.sign,
    expanded.measure_code,
    expanded.nationality,
    expanded.sex,
    expanded.age_band,
    expanded.category,
    expanded.period_rule,
    expanded.dataset_rule,
    expanded.is_optional,
    rule.takes,
    measure.behaviour,
    measure.is_additive_over_territory
from expanded
left join {{ ref('period_rules') }} as rule
    on expanded.period_rule = rule.period_rule
left join {{ ref('measures') }} as measure
    on expanded.measure_code = measure.measure_code
where
    not exists (
        select 1 from {{ ref('measure_formulas') }} as formula
        where formula.measure_code = expanded.measure_code
    )
