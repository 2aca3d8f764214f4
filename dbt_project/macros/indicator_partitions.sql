{# Placeholder #}
{% macro wanted_indicator_partitions() %}{% endmacro %}
