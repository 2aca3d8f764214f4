{# SQL expression: the time zone of the county, from the environment variable `TEILHABE_TIMEZONE` as in office_time.py. #}
{% macro office_time_zone() -%}
    '{{ env_var("TEILHABE_TIMEZONE", "") or "Europe/Berlin" }}'
{%- endmacro %}

{# SQL expression: the last moment of a day in the county. What was known on that day was known then. #}
{% macro end_of_day(day) -%}
    ((({{ day }}) + 1)::timestamp at time zone {{ office_time_zone() }} - interval '1 microsecond')
{%- endmacro %}

{#
  SQL expression: the moment a text means - a day its end, a time of day without zone that of the county, a time with zone
  itself. A text that is none ends in an error.
#}
{% macro moment_of(said) -%}
    case
        when {{ said }} ~ '^\s*\d{4}-\d{2}-\d{2}\s*$' then {{ end_of_day(said ~ '::date') }}
        when {{ said }} ~ '\d\d:\d\d\S*\s*(Z|[+-]\d\d(:?\d\d)?|[A-Z]\w+(/\w+)?)\s*$' then {{ said }}::timestamptz
        else {{ said }}::timestamp at time zone {{ office_time_zone() }}
    end
{%- endmacro %}
