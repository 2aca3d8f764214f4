{#
  Post-hook of the published tables, for distributed PostgreSQL (Citus): facts are spread by territory, which is part of every
  key, what has no territory lies on every node. Elsewhere, and on a table spread already, it renders to nothing.
#}
{% macro distribute() %}
    {%- if execute and config.get('materialized') == 'incremental'
        and run_query("select 1 from pg_extension where extname = 'citus'").rows
        and not run_query("select 1 from citus_tables where table_name = '" ~ this ~ "'::regclass").rows -%}
        {%- set columns = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
        {%- if this.identifier.startswith('fct_') and 'territory_key' in columns -%}
            select create_distributed_table('{{ this }}', 'territory_key')
        {%- else -%}
            select create_reference_table('{{ this }}')
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
