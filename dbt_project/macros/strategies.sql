{#
  Three ways to refill a table that is never dropped; each runs in the transaction dbt has opened, so readers see the old
  rows until the new ones are complete. No `merge`: it does not work on distributed tables.
#}

{#
  All rows, but only what differs is written: dimensions. Rows are found by their primary key, which hashes; comparing all columns
  with nulls among them would compare each row with each.
#}
{% macro get_incremental_replace_sql(arg_dict) %}
    {% set columns = get_quoted_csv(arg_dict.dest_columns | map(attribute='name')) %}
    {% set key = (model.constraints | selectattr('type', 'equalto', 'primary_key') | first).columns %}
    delete from {{ arg_dict.target_relation }} as old
    where
        not exists (
            select 1 from {{ arg_dict.temp_relation }} as new_row
            where
                {%- for column in key %}
                new_row.{{ column }} = old.{{ column }} and
                {%- endfor %}
                ({% for column in arg_dict.dest_columns %}new_row.{{ column.quoted }}{{ ', ' if not loop.last }}{% endfor %})
                is not distinct from
                ({% for column in arg_dict.dest_columns %}old.{{ column.quoted }}{{ ', ' if not loop.last }}{% endfor %})
        );
    insert into {{ arg_dict.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict.temp_relation }} as new_row
    where
        not exists (
            select 1 from {{ arg_dict.target_relation }} as old
            where
                {%- for column in key %}
                new_row.{{ column }} = old.{{ column }}{{ ' and' if not loop.last }}
                {%- endfor %}
        )
{% endmacro %}

{# Whole deliveries: add the new, remove those that never counted after all. Nothing else is touched. #}
{% macro get_incremental_replace_deliveries_sql(arg_dict) %}
    {% set columns = get_quoted_csv(arg_dict.dest_columns | map(attribute='name')) %}
    delete from {{ arg_dict.target_relation }}
    where
        delivery_id in (
            select new_rows.delivery_id from {{ arg_dict.temp_relation }} as new_rows
            union
            select held.delivery_id from {{ held_deliveries() }} as held
            where
                not exists (
                    select 1 from {{ ref('int_delivery__counted') }} as counted
                    where counted.delivery_id = held.delivery_id
                )
            union
            -- taken in by a build that failed before it was listed anywhere
            select delivery.delivery_id from {{ source('ops', 'delivery') }} as delivery
            where
                delivery.state in ('held', 'withdrawn')
                and not exists (
                    select 1 from {{ ref('int_delivery__counted') }} as counted
                    where counted.delivery_id = delivery.delivery_id
                )
        );
    insert into {{ arg_dict.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict.temp_relation }}
{% endmacro %}

{# Stale partitions, see build_state.sql. #}
{% macro get_incremental_replace_partitions_sql(arg_dict) %}
    {% set columns = get_quoted_csv(arg_dict.dest_columns | map(attribute='name')) %}
    {% set key = (config.get('meta') or {}).get('part_key') %}
    delete from {{ arg_dict.target_relation }}
    where {{ in_stale(key, 'period_key', keyed=true) if key else in_stale('measure_code', 'period_code') }};
    insert into {{ arg_dict.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict.temp_relation }}
{% endmacro %}
