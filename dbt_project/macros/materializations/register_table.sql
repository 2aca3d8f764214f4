{#
  A table made from the registers alone: kept as it is while they are the same.

  Registers and lists of changes come once a year, builds several times a day. So these tables remember in `build_state` from
  which deliveries, baseline and models they were made, and are made anew when that differs. A delivery that arrives while
  one is made is at worst taken in twice.
#}
{% materialization register_table, adapter='postgres' %}
    {% set made_from = register_digest() %}
    {% set existing = load_cached_relation(this) %}
    {% if existing is not none and not flags.FULL_REFRESH and remembered_digest('registers') == made_from %}
        {% call noop_statement('main', 'KEPT') %}{% endcall %}
        {{ return({'relations': [this.incorporate(type='table')]}) }}
    {% endif %}
    {% set made = materialization_table_default() %}
    {% do remember_digest('registers', made_from) %}
    {{ return(made) }}
{% endmaterialization %}

{# Fingerprint of accepted registers and lists, of the baseline and of the models that make territories of them. #}
{% macro register_digest() %}
    {% set texts = [] %}
    {% for node in graph.nodes.values()
        if node.resource_type in ('model', 'seed') and (node.name.startswith('int_territory__') or node.name == 'territories') %}
        {% do texts.append(node.name ~ ' ' ~ node.checksum.checksum) %}
    {% endfor %}
    {{ return(run_query(
        "select md5('" ~ texts | sort | join(' ') ~ "' || coalesce(string_agg(delivery_id::text, ',' order by delivery_id), ''))"
        ~ ' from ' ~ source('ops', 'delivery')
        ~ " where state = 'loaded' and dataset_id in ('register__municipalities', 'register__territorial_changes')"
    ).rows[0][0]) }}
{% endmacro %}
