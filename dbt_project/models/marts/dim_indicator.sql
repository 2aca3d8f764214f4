{{ config(materialized='incremental', incremental_strategy='replace') }}

-- The terms of a role as one expression: "moves_in - moves_out".
with roles as (
    select
        indicator_code,
        definition_version,
        role,
        regexp_replace(
            string_agg(case when sign < 0 then '- ' else '+ ' end || measure_code, ' ' order by term), '^\+ ', ''
        ) as measure_code,
        string_agg(distinct period_rule, ', ' order by period_rule) as period_rule
    from {{ ref('indicator_terms') }}
    group by indicator_code, definition_version, role
)

select
    {{ surrogate_key(['definition.indicator_code', 'definition.definition_version::text']) }} as indicator_key,
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
    definition.frameworks,
    numerator.period_rule as numerator_period_rule,
    definition.catalogue_set,
    definition.frequency,
    definition.level_published,
    definition.level_needed,
    definition.level_note_de
from {{ ref('indicators') }} as definition
left join roles as numerator
    on
        definition.indicator_code = numerator.indicator_code
        and definition.definition_version = numerator.definition_version
        and numerator.role = 'numerator'
left join roles as denominator
    on
        definition.indicator_code = denominator.indicator_code
        and definition.definition_version = denominator.definition_version
        and denominator.role = 'denominator'
