{# Predicate: the delivered number is the one a correction names, under this key. An empty group in the seed means all. #}
{% macro same_cell(correction, delivered, territory_code) %}
    {{ correction }}.dataset_id = {{ delivered }}.dataset_id
    and {{ correction }}.measure_code = {{ delivered }}.measure_code
    and {{ correction }}.period_code = {{ delivered }}.period_code
    and {{ territory_code }} = {{ delivered }}.territory_code
    {%- for column in ['nationality', 'sex', 'age_band', 'category'] %}
    and coalesce({{ correction }}.{{ column }}, {{ delivered }}.{{ column }}) = {{ delivered }}.{{ column }}
    {%- endfor %}
{%- endmacro %}

{#
  Predicate: the correction applies to this delivered number. It steps aside once the number no longer shows the error, so a
  repaired file is never "corrected" again.
#}
{% macro corrected_by(correction, delivered) %}
    {{ same_cell(correction, delivered, correction ~ '.territory_code') }}
    and {{ correction }}.status <> 'repaired'
    and (
        {{ correction }}.action = 'move_key' and not {{ says_nothing(delivered) }}
        or {{ correction }}.from_value = {{ delivered }}.value
    )
{%- endmacro %}
