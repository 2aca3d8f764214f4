{#
  A view replaced in place. dbt's own view is dropped with everything that depends on it and created anew; an analyst's view
  on a published view would be gone after each build. Replacing in place allows new columns at the end only: PostgreSQL
  refuses anything else, and that refusal is wanted for published columns.
#}
{% materialization published_view, adapter='postgres' %}
    {% set existing = load_cached_relation(this) %}
    {% set target_relation = this.incorporate(type='view') %}
    {% if existing is not none and not existing.is_view %}
        {% do exceptions.raise_compiler_error(this ~ ' exists and is no view; remove it by hand') %}
    {% endif %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        {% if config.get('contract').enforced %}
            {{ get_assert_columns_equivalent(sql) }}
        {% endif %}
        create or replace view {{ target_relation }} as (
            {{ sql }}
        )
    {% endcall %}
    {% do apply_grants(target_relation, config.get('grants'), should_revoke=existing is not none) %}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
