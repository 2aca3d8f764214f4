{#
  Three ways to refill a table that is never dropped; each runs in the transaction dbt has opened, so readers see the old
  rows until the new ones are complete. No `merge`: it does not work on distributed tables.
#}

{# All rows: small dimensions. #}
{% macro get_incremental_replace_sql(arg_dict) %}
    {% set columns = get_quoted_csv(arg_dict.dest_columns | map(attribute='name')) %}
    delete from {{ arg_dict.target_relation }};
    insert into {{ arg_dict.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict.temp_relation }}
{% endmacro %}

{# Whole deliveries: add the new, remove those no longer accepted. Nothing else is touched. #}
{% macro get_incremental_replace_deliveries_sql(arg_dict) %}
    {% set columns = get_quoted_csv(arg_dict.dest_columns | map(attribute='name')) %}
    delete from {{ arg_dict.target_relation }} as target
    where
        target.delivery_id in (select new_rows.delivery_id from {{ arg_dict.temp_relation }} as new_rows)
        or target.delivery_id not in (
            select delivery.delivery_id from {{ source('ops', 'delivery') }} as delivery where delivery.state = 'loaded'
        );
    insert into {{ arg_dict.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict.temp_relation }}
{% endmacro %}

{# Stale partitions, see build_state.sql. #}
{% macro get_incremental_replace_partitions_sql(arg_dict) %}
    {% set columns = get_quoted_csv(arg_dict.dest_columns | map(attribute='name')) %}
    {% set part = (config.get('meta') or {}).get('part', 'measure_code') %}
    delete from {{ arg_dict.target_relation }}
    where {{ in_stale(part, 'period_code') }};
    insert into {{ arg_dict.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict.temp_relation }}
{% endmacro %}
