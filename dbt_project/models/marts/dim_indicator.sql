{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    definition.indicator_code,
    definition.definition_version,
    definition.is_default,
    definition.name_de,
    definition.name_en,
    definition.unit_de,
    definition.multiplier,
    definition.direction,
    definition.aggregation,
    definition.is_proportion,
    definition.headline_category,
    numerator.measure_code as numerator_measure_code,
    denominator.measure_code as denominator_measure_code,
    denominator.period_rule as denominator_period_rule,
    definition.definition_de,
    definition.caveat_de,
    definition.frameworks
from {{ ref('indicators') }} as definition
left join {{ ref('indicator_terms') }} as numerator
    on
        definition.indicator_code = numerator.indicator_code
        and definition.definition_version = numerator.definition_version
        and numerator.role = 'numerator'
left join {{ ref('indicator_terms') }} as denominator
    on
        definition.indicator_code = denominator.indicator_code
        and definition.definition_version = denominator.definition_version
        and denominator.role = 'denominator'
