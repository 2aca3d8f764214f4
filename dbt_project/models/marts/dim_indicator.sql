{{ config(materialized='incremental', incremental_strategy='replace') }}

-- The terms of a role as one expression: "moves_in - moves_out".
with roles as (
    select
        term.indicator_code,
        term.definition_version,
        term.role,
        regexp_replace(
            string_agg(case when term.sign < 0 then '- ' else '+ ' end || term.measure_code, ' ' order by term.term),
            '^\+ ', ''
        ) as measure_code,
        string_agg(distinct term.period_rule, ', ' order by term.period_rule) as period_rule,
        string_agg(distinct rule.description_de, '; ' order by rule.description_de) as period_de,
        string_agg(distinct rule.description_en, '; ' order by rule.description_en) as period_en
    from {{ ref('int_indicator__terms') }} as term
    inner join {{ ref('period_rules') }} as rule
        on term.period_rule = rule.period_rule
    group by term.indicator_code, term.definition_version, term.role
),

places as (
    select
        place.indicator_code,
        place.definition_version,
        string_agg(
            concat_ws(' ', framework.short_name, place.their_code)
            || case place.relation
                when 'related' then ' (verwandt)'
                when 'different' then ' (abweichend)'
                when 'not_available' then ' (nicht belegt)'
                else ''
            end,
            '; ' order by framework.short_name, place.their_code
        ) as frameworks
    from {{ ref('indicator_frameworks') }} as place
    inner join {{ ref('frameworks') }} as framework
        on place.framework_code = framework.framework_code
    group by place.indicator_code, place.definition_version
)

select
    {{ surrogate_key(['definition.indicator_code', 'definition.definition_version::text']) }} as indicator_key,
    definition.indicator_code,
    definition.definition_version,
    definition.is_default,
    coalesce(wording.name_de, indicator.name_de) as name_de,
    coalesce(wording.name_en, indicator.name_en) as name_en,
    definition.field_code,
    field.name_de as field_name_de,
    field.name_en as field_name_en,
    definition.catalogue_set,
    definition.unit_de,
    definition.unit_en,
    definition.multiplier,
    definition.direction,
    definition.aggregation,
    definition.is_summable,
    definition.is_proportion,
    definition.headline_category,
    numerator.measure_code as numerator_measure_code,
    numerator.period_rule as numerator_period_rule,
    denominator.measure_code as denominator_measure_code,
    denominator.period_rule as denominator_period_rule,
    denominator.period_de as denominator_period_de,
    denominator.period_en as denominator_period_en,
    definition.valid_from,
    definition.valid_to,
    definition.framework_code,
    places.frameworks,
    wording.definition_de,
    wording.definition_en,
    indicator.caveat_de,
    indicator.caveat_en,
    definition.frequency,
    indicator.level_published,
    indicator.level_needed,
    indicator.level_note_de,
    indicator.level_note_en,
    indicator.availability_note_de,
    indicator.availability_note_en
from {{ ref('int_indicator__definitions') }} as definition
inner join {{ ref('indicators') }} as indicator
    on definition.indicator_code = indicator.indicator_code
inner join {{ ref('indicator_definitions') }} as wording
    on
        definition.indicator_code = wording.indicator_code
        and definition.definition_version = wording.definition_version
inner join {{ ref('indicator_fields') }} as field
    on definition.field_code = field.field_code
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
left join places
    on
        definition.indicator_code = places.indicator_code
        and definition.definition_version = places.definition_version
