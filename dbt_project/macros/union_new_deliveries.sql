{# Rows of all staging models whose deliveries `this` does not hold yet; models without news are not even read. #}
{% macro union_new_deliveries(models) %}
    {% do require_every_staging_model(models) %}
    {% set waiting = {} %}
    {% if is_incremental() and execute and not is_full_refresh() %}
        {% set rows = run_query(
            "select d.dataset_id, string_agg(d.delivery_id::text, ', ' order by d.delivery_id) from "
            ~ source('ops', 'delivery') ~ " as d where d.state = 'loaded' and not exists (select 1 from " ~ this
            ~ ' as u where u.delivery_id = d.delivery_id) group by d.dataset_id'
        ).rows %}
        {% for row in rows %}{% do waiting.update({row[0]: row[1]}) %}{% endfor %}
    {% endif %}
    {% set selects = [] %}
    {% for model_name in models %}
        {% set relation = ref(model_name) %}
        {% set deliveries = waiting.get(model_name[4:]) %}
        {% if not is_incremental() or is_full_refresh() %}
            {% do selects.append('select * from ' ~ relation) %}
        {% elif deliveries %}
            {% do selects.append('select * from ' ~ relation ~ ' where delivery_id in (' ~ deliveries ~ ')') %}
        {% endif %}
    {% endfor %}
    {% if not selects %}
        {% do selects.append('select * from ' ~ ref(models[0]) ~ ' where false') %}
    {% endif %}
    {{ selects | join('\n    union all\n    ') }}
{% endmacro %}

{# A staging model nobody unites would be a dataset that silently never arrives. #}
{% macro require_every_staging_model(models) %}
    {% if execute %}
        {% for node in graph.nodes.values() if node.resource_type == 'model' and node.config.meta.get('observations') %}
            {% if node.name not in models %}
                {% do exceptions.raise_compiler_error(
                    node.name ~ ' is not listed in int_observation__unioned: its observations would never arrive'
                ) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
