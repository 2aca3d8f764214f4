{#
  dbt's own statement with one difference: a table with an enforced contract gets its primary key after its rows. Filling
  three million rows under an existing key of text columns takes a minute; building the key afterwards takes seconds.
  Foreign keys are left out here: dimensions are refilled before the tables that refer to them.
#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- set contract = config.get('contract') -%}
    {%- set keys = model.get('constraints', []) | selectattr('type', 'equalto', 'primary_key') | list -%}
    {%- do model.update({'constraints': model.get('constraints', []) | rejectattr('type', 'equalto', 'foreign_key') | list}) -%}
    {{ config.get('sql_header', none) if config.get('sql_header', none) is not none }}
    create {% if temporary %}temporary{% elif config.get('unlogged', false) %}unlogged{% endif %} table {{ relation }}
    {% if contract.enforced and not temporary %}
        {{ get_assert_columns_equivalent(sql) }}
        {{ get_table_columns_and_constraints() }};
        {% if keys %}
            alter table {{ relation }} drop constraint "{{ relation.identifier }}_pkey";
        {% endif %}
        insert into {{ relation }} ({{ adapter.dispatch('get_column_names', 'dbt')() }})
        {{ get_select_subquery(sql) }};
        {% if keys %}
            alter table {{ relation }} add primary key ({{ keys[0].columns | join(', ') }});
        {% endif %}
    {% else %}
        as (
            {{ sql }}
        );
    {% endif %}
{%- endmacro %}
