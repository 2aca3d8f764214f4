{#
  Names of the staging models that yield observations: those with `meta: {observations: true}` in their yml.

  dbt knows its own models only once all of them are parsed, so the product finds them in the folder and hands them over
  (`observation_models` in building.py): order and lineage are then known from the start. A dbt run by hand takes them from
  dbt's own graph at execution, and the views of staging must be there by then: `dbt build --select tag:staging` first.
#}
{% macro observation_models() %}
    {% set names = var('observation_models', []) %}
    {% if not execute %}{{ return(names) }}{% endif %}
    {% set found = [] %}
    {% for node in graph.nodes.values() if node.resource_type == 'model' and node.config.meta.get('observations') %}
        {% do found.append(node.name) %}
    {% endfor %}
    {% if names and found | sort != names | sort %}
        {% do exceptions.raise_compiler_error(
            'observation_models names other models than those marked in the yml files: their observations would never arrive'
        ) %}
    {% endif %}
    {{ return(found | sort) }}
{% endmacro %}

{% macro observation_model(name) %}
    {% if var('observation_models', []) %}{{ return(ref(name)) }}{% endif %}
    {% set relation = adapter.get_relation(target.database, 'staging', name) %}
    {% if relation is none %}
        {% do exceptions.raise_compiler_error(name ~ ' is not built yet: run `dbt build --select tag:staging` first') %}
    {% endif %}
    {{ return(relation) }}
{% endmacro %}

{# Rows of all these models whose deliveries `this` does not hold yet; models without news are not even read. #}
{% macro union_new_deliveries() %}
    {% set models = observation_models() %}
    {% if var('observation_models', []) %}
        {% for name in models %}{% do ref(name) %}{% endfor %}
    {% endif %}
    {% if not execute %}{{ return('select 1') }}{% endif %}
    {% set everything = not is_incremental() or is_full_refresh() %}
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
    {% for name in models %}
        {% set deliveries = waiting.get(name[4:]) %}
        {% if everything %}
            {% do selects.append(
                'select ' ~ columns ~ ' from ' ~ observation_model(name) ~ ' where ' ~ counts
                ~ ' and ' ~ has_its_turn('delivery_id')
            ) %}
        {% elif deliveries %}
            {% do selects.append(
                'select ' ~ columns ~ ' from ' ~ observation_model(name) ~ ' where delivery_id in (' ~ deliveries ~ ')'
            ) %}
        {% endif %}
    {% endfor %}
    {% if not selects %}
        {% do selects.append('select ' ~ columns ~ ' from ' ~ observation_model(models[0]) ~ ' where false') %}
    {% endif %}
    {{ selects | join('\n    union all\n    ') }}
{% endmacro %}
