{#
  dbt's own statement with two differences for a table with an enforced contract. It gets its primary key after its rows: filling
  three million rows under an existing key of text columns takes a minute; building the key afterwards takes seconds. And
  it gets no foreign keys: they hold in `marts`, where `teilhabe.releasing` makes them from the contracts; here tables are
  refilled in any order.
#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- set contract = config.get('contract') -%}
    {%- set keys = model.get('constraints', []) | selectattr('type', 'equalto', 'primary_key') | list -%}
    {{ config.get('sql_header', none) if config.get('sql_header', none) is not none }}
    create {% if temporary %}temporary{% elif config.get('unlogged', false) %}unlogged{% endif %} table {{ relation }}
    {% if contract.enforced and not temporary %}
        {{ get_assert_columns_equivalent(sql) }}
        {{ get_table_columns_and_constraints() }};
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

{% macro postgres__get_table_columns_and_constraints() -%}
    {%- set columns = {} -%}
    {%- for name, column in model['columns'].items() -%}
        {%- set constraints = column['constraints'] | rejectattr('type', 'equalto', 'foreign_key') | list -%}
        {%- do columns.update({name: dict(column, constraints=constraints)}) -%}
    {%- endfor -%}
    {%- set others = model['constraints'] | rejectattr('type', 'in', ['primary_key', 'foreign_key']) | list -%}
    (
        {{ (adapter.render_raw_columns_constraints(raw_columns=columns)
            + adapter.render_raw_model_constraints(raw_constraints=others)) | join(',\n        ') }}
    )
{%- endmacro %}
