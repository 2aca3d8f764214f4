{# Rows of all staging models of observations whose deliveries `this` does not hold yet; models without news are not even read. #}
{% macro union_new_deliveries() %}
    {% set models = observation_models() %}
    {% if not execute %}{{ return('select 1') }}{% endif %}
    {% do refuse_another_list(models) %}
    {% set everything = not is_incremental() or flags.FULL_REFRESH %}
    {% set waiting = {} %}
    {% if not everything %}
        {% set rows = run_query(
            "select w.dataset_id, string_agg(w.delivery_id::text, ', ' order by w.delivery_id) from ("
            ~ waiting_deliveries() ~ ') as w group by w.dataset_id'
        ).rows %}
        {% for row in rows %}{% do waiting.update({row[0]: row[1]}) %}{% endfor %}
    {% endif %}
    {% set columns = observation_columns() | join(', ') %}
    {% set counts = 'delivery_id in (select counted.delivery_id from ' ~ ref('int_delivery__counted') ~ ' as counted)' %}
    {% set selects = [] %}
    {% for model in models %}
        {% set deliveries = waiting.get(model.identifier[4:]) %}
        {% if everything %}
            {% do selects.append(
                'select ' ~ columns ~ ' from ' ~ model ~ ' where ' ~ counts ~ ' and ' ~ has_its_turn('delivery_id')
            ) %}
        {% elif deliveries %}
            {% do selects.append('select ' ~ columns ~ ' from ' ~ model ~ ' where delivery_id in (' ~ deliveries ~ ')') %}
        {% endif %}
    {% endfor %}
    {% if not selects %}
        {% do selects.append('select ' ~ columns ~ ' from ' ~ models[0] ~ ' where false') %}
    {% endif %}
    {{ selects | join('\n    union all\n    ') }}
{% endmacro %}

{# Observations of a model that is not listed would never arrive. #}
{% macro refuse_another_list(models) %}
    {% set marked = [] %}
    {% for node in graph.nodes.values() if node.resource_type == 'model' and node.config.meta.get('observations') %}
        {% do marked.append(node.name) %}
    {% endfor %}
    {% if marked | sort != models | map(attribute='identifier') | sort | list %}
        {% do exceptions.raise_compiler_error(
            'macros/observation_models.sql lists other models than those marked in the yml files: run `teilhabe contracts union`'
        ) %}
    {% endif %}
{% endmacro %}
