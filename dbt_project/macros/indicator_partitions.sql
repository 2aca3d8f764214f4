{# SQL expression: the period of the denominator that belongs to a period of the numerator. #}
{% macro denominator_period(rule, period) %}
    case {{ rule }}
        when 'same' then {{ period }}
        when 'year_end_same' then substring({{ period }} from '[0-9]{4}') || '-12-31'
        when 'year_end_previous' then (substring({{ period }} from '[0-9]{4}')::integer - 1)::text || '-12-31'
    end
{%- endmacro %}

{# Partitions of an indicator: one per definition and period; made from the deliveries of both terms. #}
{% macro wanted_indicator_partitions() %}
    select
        numerator.indicator_code || '/' || numerator.definition_version as part_code,
        contents.period_code,
        md5(
            {{ rules_digest() }}
            || string_agg(contents.delivery_id::text, ',' order by contents.delivery_id)
            || coalesce(
                (
                    select string_agg(base.delivery_id::text, ',' order by base.delivery_id)
                    from {{ ref('indicator_terms') }} as denominator
                    inner join {{ ref('int_delivery__contents') }} as base
                        on
                            denominator.measure_code = base.measure_code
                            and base.period_code
                            = {{ denominator_period('denominator.period_rule', 'contents.period_code') }}
                    where
                        denominator.role = 'denominator'
                        and denominator.indicator_code = numerator.indicator_code
                        and denominator.definition_version = numerator.definition_version
                ), ''
            )
        ) as digest
    from {{ ref('indicator_terms') }} as numerator
    inner join {{ ref('int_delivery__contents') }} as contents
        on numerator.measure_code = contents.measure_code
    where numerator.role = 'numerator'
    group by numerator.indicator_code, numerator.definition_version, contents.period_code
{% endmacro %}

{# Predicate: the observation's group is one the term selects. #}
{% macro selected_by(term, observed) %}
    {%- for column in ['nationality', 'sex', 'age_band', 'category'] %}
    ({{ term }}.{{ column }} in ('each', 'same') or {{ term }}.{{ column }} = {{ observed }}.{{ column }})
    {{- ' and' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#
  SQL expression: a bound of the 95 % Wilson interval of numerator / denominator. In floating point: an interval is no sum
  that must come out to the digit, and exact square roots of a million rows take half a minute.
#}
{% macro wilson(numerator, denominator, sign) %}
    {%- set z = 1.959963984540054 %}
    {%- set n = denominator ~ '::double precision' %}
    {%- set p = '(' ~ numerator ~ '::double precision / ' ~ denominator ~ '::double precision)' %}
    ((
        ({{ p }} + {{ z * z }} / (2 * {{ n }}))
        {{ sign }} {{ z }} * sqrt({{ p }} * (1 - {{ p }}) / {{ n }} + {{ z * z }} / (4 * {{ n }} * {{ n }}))
    ) / (1 + {{ z * z }} / {{ n }}))::numeric
{%- endmacro %}

{#
  Predicate "this observation may be a term of a stale partition", written out like `in_stale` so that the index on
  measure and period serves it.
#}
{% macro may_be_term(role, observed) %}
    {% if not execute %}{{ return('true') }}{% endif %}
    {% set query %}
        select distinct
            term.measure_code,
            {{ denominator_period('term.period_rule', 'stale.period_code') }} as period_code
        from ({{ stale_partitions() }}) as stale
        inner join {{ ref('indicator_terms') }} as term
            on stale.part_code = term.indicator_code || '/' || term.definition_version
        where term.role = '{{ role }}'
    {% endset %}
    {% set pairs = [] %}
    {% for row in run_query(query).rows %}
        {% do pairs.append("('" ~ row[0] | replace("'", "''") ~ "', '" ~ row[1] | replace("'", "''") ~ "')") %}
    {% endfor %}
    {% if not pairs %}{{ return('false') }}{% endif %}
    {% if pairs | length > 200 %}{{ return('true') }}{% endif %}
    {{ return('(' ~ observed ~ '.measure_code, ' ~ observed ~ '.period_code) in (' ~ pairs | join(', ') ~ ')') }}
{% endmacro %}
