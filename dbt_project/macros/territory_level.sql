{# SQL expression: the level of a unit no register lists, by the length of its key. #}
{% macro territory_level(code) -%}
    case
        when {{ code }} = 'DG' then 'country'
        when length({{ code }}) = 2 then 'state'
        when length({{ code }}) <= 4 then 'region'
        when length({{ code }}) = 5 then 'county'
        when length({{ code }}) = 8 then 'municipality'
        else 'association'
    end
{%- endmacro %}

{#
  How well a converted number is known, from best to worst; a chain of conversions is as good as its worst link.
  `none`: the list names a change, but nothing that says how much of the unit went where.
#}
{% macro conversion_methods() %}{{ return(['exact_sum', 'factor_population', 'factor_area', 'none']) }}{% endmacro %}

{# SQL expression: the place of a method in that order. #}
{% macro method_rank(method) -%}
    array_position(array['{{ conversion_methods() | join("', '") }}'], {{ method }})
{%- endmacro %}

{# SQL expression: the method at a place of that order. #}
{% macro method_at(rank) -%}
    (array['{{ conversion_methods() | join("', '") }}'])[{{ rank }}]
{%- endmacro %}
