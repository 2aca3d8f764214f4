{#
  dbt's views, kept as they are while their text and their descriptions are the same: most builds bring numbers, not code.
  Dropped with a table it reads from, it is made again.
#}
{% materialization view, adapter='postgres' %}
    {% set existing = load_cached_relation(this) %}
    {% set described = [model.description] %}
    {% for column in model.columns.values() %}
        {% do described.append([column.name, column.data_type, column.description]) %}
    {% endfor %}
    {% set made_from = [sql, described, config.get('grants', {})] %}
    {# As they will run: what a hook says of the columns may come from the catalogue. #}
    {% for hook in post_hooks %}{% do made_from.append(render(hook.get('sql'))) %}{% endfor %}
    {% set made_from = local_md5(made_from | join('\n')) %}
    {% if existing is not none and existing.is_view and remembered_digest('view') == made_from %}
        {% call noop_statement('main', 'KEPT') %}{% endcall %}
        {{ return({'relations': [existing]}) }}
    {% endif %}
    {% set made = materialization_view_default() %}
    {% do remember_digest('view', made_from) %}
    {{ return(made) }}
{% endmaterialization %}
