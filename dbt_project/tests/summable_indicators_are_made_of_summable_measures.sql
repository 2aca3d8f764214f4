-- An indicator that may be computed again for a larger area is made of measures whose parts add up to the whole.
{% set query %}
select
    format(
        'Indicator %s, definition %s: it must be taken as delivered, because %s does not add up over territory.',
        definition.indicator_code, definition.definition_version, term.measure_code
    ) as sentence
from {{ ref('int_indicator__definitions') }} as definition
inner join {{ ref('int_indicator__terms') }} as term
    on
        definition.indicator_code = term.indicator_code
        and definition.definition_version = term.definition_version
where definition.is_summable and not term.is_additive_over_territory
{% endset %}
{{ refuse_with_sentences(query) }}
