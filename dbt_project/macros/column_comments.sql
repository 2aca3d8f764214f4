{# dbt's own statement without its question which columns there are: a contract has said so. #}
{% macro postgres__alter_column_comment(relation, column_dict) %}
    {% for column in column_dict.values() %}
        comment on column {{ relation }}.{{ adapter.quote(column.name) if column.quote else column.name }}
        is {{ postgres_escape_comment(column.description) }};
    {% endfor %}
{% endmacro %}
