{# `--full-refresh` was asked for: published tables are then refilled in place instead of dropped. #}
{% macro is_full_refresh() %}{{ return(flags.FULL_REFRESH) }}{% endmacro %}
