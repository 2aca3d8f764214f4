{# SQL expressions: the quarter and the half-year a day lies in. #}
{% macro quarter_code(day) %}to_char({{ day }}, 'YYYY-"Q"Q'){% endmacro %}
{% macro half_year_code(day) %}to_char({{ day }}, 'YYYY-"H"') || ceil(extract(month from {{ day }}) / 6)::text{% endmacro %}

{# SQL expression: how many cells a term with this rule is made of. #}
{% macro cells_of_rule(rule) %}
    case {{ rule }}
        when 'quarter_sum' then 3
        when 'quarter_mean' then 3
        when 'half_year_sum' then 2
        when 'year_mean' then 12
        when 'rolling_12_sum' then 12
        when 'rolling_12_mean_before' then 12
        else 1
    end
{%- endmacro %}

{# Partitions of an indicator: one per definition and period; made from the deliveries of all cells its terms look at. #}
{% macro wanted_indicator_partitions() %}
    select
        needed.indicator_code || '|' || needed.definition_version as part_code,
        needed.period_code,
        md5(
            {{ rules_digest() }}
            || string_agg(
                distinct {{ counted_delivery('contents') }}, ',' order by {{ counted_delivery('contents') }}
            )
            || coalesce(
                string_agg(
                    distinct concat_ws(
                        ' ', territory.measure_code, territory.period_code, territory.for_period_code, territory.digest
                    ), ','
                ), ''
            )
        ) as digest
    from {{ ref('int_indicator__periods') }} as needed
    inner join {{ ref('int_delivery__contents') }} as contents
        on needed.measure_code = contents.measure_code and needed.cell_period_code = contents.period_code
    left join {{ ref('int_rule__digest') }} as territory
        on
            territory.rule_code = 'territory'
            and needed.measure_code = territory.measure_code
            and needed.cell_period_code = territory.period_code
            and territory.for_period_code in (needed.cell_period_code, needed.period_code)
    group by needed.indicator_code, needed.definition_version, needed.period_code
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

{# Query of (measure, period): the cells of the stale partitions of indicators. #}
{% macro cells_of_stale() %}
    select distinct
        needed.measure_code,
        needed.cell_period_code
    from ({{ stale_partitions() }}) as stale
    inner join {{ ref('int_indicator__periods') }} as needed
        on
            stale.part_code = needed.indicator_code || '|' || needed.definition_version
            and stale.period_code = needed.period_code
{% endmacro %}

{# Predicate "this observation may be a cell of a stale partition", so that the index on measure and period serves it. #}
{% macro may_be_cell(columns) %}
    {% if not execute %}{{ return('true') }}{% endif %}
    {{ return(in_rows(columns, cells_of_stale(), 500)) }}
{% endmacro %}

{# How far a number is from what was delivered, the furthest first: territorial_method of a result is that of its worst cell. #}
{% macro territorial_methods() %}
    {{ return("array['none', 'factor_area', 'factor_population', 'exact_sum', 'moved_key', 'sum_of_municipalities', "
        ~ "'sum_of_categories', 'as_delivered']") }}
{% endmacro %}

{# Partitions of the comparisons: made of the results of their own period and of those they are compared with. #}
{% macro wanted_comparison_partitions() %}
    select
        comparable.indicator_code || '|' || comparable.definition_version as part_code,
        comparable.period_code,
        md5({{ rules_digest() }} || string_agg(built.digest || comparable.broken_for::text, ',' order by comparable.step))
            as digest
    from {{ ref('int_indicator__comparable') }} as comparable
    inner join {{ build_state() }} as built
        on
            built.model = 'fct_indicator_vintage'
            and comparable.indicator_code || '|' || comparable.definition_version = built.part_code
            and comparable.compared_period_code = built.period_code
    group by comparable.indicator_code, comparable.definition_version, comparable.period_code
{% endmacro %}

{# Query of (indicator, period), as keys: the results that stale comparisons look at. #}
{% macro compared_of_stale() %}
    select distinct
        {{ surrogate_key(['comparable.indicator_code', 'comparable.definition_version::text']) }} as indicator_key,
        {{ surrogate_key(['comparable.compared_period_code']) }} as period_key
    from ({{ stale_partitions() }}) as stale
    inner join {{ ref('int_indicator__comparable') }} as comparable
        on
            stale.part_code = comparable.indicator_code || '|' || comparable.definition_version
            and stale.period_code = comparable.period_code
{% endmacro %}
