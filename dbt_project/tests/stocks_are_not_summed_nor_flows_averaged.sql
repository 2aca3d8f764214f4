-- Over time stocks and rates are never summed, flows and year groups never averaged, and only stocks and rates have a state at a
-- day or month that stands for a longer period. Formulas are spelled out, so it holds for their parts.
{% set query %}
select
    format(
        'Indicator %s, definition %s: %s is a %s and cannot be taken by the rule %s (%s).',
        indicator_code, definition_version, measure_code, behaviour, period_rule, takes
    ) as sentence
from {{ ref('int_indicator__terms') }}
where
    (takes = 'sum' and behaviour not in ('flow', 'cohort'))
    or (takes in ('mean', 'state') and behaviour not in ('stock', 'average'))
{% endset %}
{{ refuse_with_sentences(query) }}
