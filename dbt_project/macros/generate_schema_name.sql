{# Schemas are named by the stage, not prefixed with the target: one warehouse, one word per stage. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
