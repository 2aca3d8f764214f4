{#
  Predicate: a row of observations breaks a rule every observation has to keep. The same rules are asked when a file is judged
  (plugins/teilhabe/validation/rules/observation_rules.py), so that nothing reaches a build that breaks one; a test holds both against each other.
#}
{% macro breaks_a_rule(row) %}
    {{ row }}.measure_code is null or {{ row }}.territory_code is null or {{ row }}.period_code is null
    or {{ row }}.nationality is null or {{ row }}.sex is null or {{ row }}.age_band is null or {{ row }}.category is null
    or {{ row }}.obs_status is null or {{ row }}.conf_status is null
    or not ({{ row }}.territory_code = 'DG' or {{ row }}.territory_code ~ '^[0-9]{2,9}$')
    or not {{ is_period_code(row ~ '.period_code') }}
    or {{ row }}.obs_status not in ('A', 'P', 'E', 'U', 'Q', 'O', 'M')
    or {{ row }}.conf_status not in ('F', 'C', 'D')
    or {{ row }}.value in ('NaN', 'Infinity', '-Infinity') or abs({{ row }}.value) >= 1e15
    -- a number that is secret or missing has no value, and one that has none says why
    or ({{ row }}.value is null and {{ row }}.conf_status = 'F' and {{ row }}.obs_status not in ('Q', 'O', 'M'))
    or ({{ row }}.value is not null and ({{ row }}.conf_status <> 'F' or {{ row }}.obs_status in ('Q', 'M')))
{% endmacro %}

{# SQL expression: a period code that stands on the calendar, of the years people count in. #}
{% macro is_period_code(code) -%}
    case
        when
            {{ code }} !~ '^([0-9]{4}(-(H[12]|Q[1-4]|(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?))?|(SY|AY|WH|SH)[0-9]{4})$'
            then false
        when substring({{ code }} from '[0-9]{4}')::integer not between 1900 and 2100 then false
        when {{ code }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
            then right({{ code }}, 2)::integer <= extract(
                day from (left({{ code }}, 7) || '-01')::date + interval '1 month' - interval '1 day'
            )
        else true
    end
{%- endmacro %}
