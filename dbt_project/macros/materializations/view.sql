{#
  dbt's views, kept as they are while their text and their descriptions are the same: most builds bring numbers, not code, and
  making a view anew costs more than reading it. Dropped with a table it reads from, it is made again.
#}
{% materialization view, adapter='postgres' %}
    {% set existing = load_cached_relation(this) %}
    {% set described = [model.description] %}
    {% for column in model.columns.values() %}
        {% do described.append([column.name, column.data_type, column.description]) %}
    {% endfor %}
    {% set made_from = local_md5(sql ~ described ~ config.get('post-hook', []) ~ config.get('grants', {})) %}
    {% if existing is not none and existing.is_view and remembered_digest('view') == made_from %}
        {% call noop_statement('main', 'KEPT') %}{% endcall %}
        {{ return({'relations': [existing]}) }}
    {% endif %}
    {% set made = materialization_view_default() %}
    {% do remember_digest('view', made_from) %}
    {{ return(made) }}
{% endmaterialization %}
