{#
  Post-hook of the published tables, for distributed PostgreSQL (Citus): facts are spread by territory, which is part of every
  key, what has no territory lies on every node. Elsewhere, and on a table spread already, it does nothing.
#}
{% macro distribute() %}
    {%- if config.get('materialized') == 'incremental' -%}
    do $$
    begin
        if exists (select from pg_catalog.pg_extension where extname = 'citus') then
            if not exists (select from citus_tables where table_name = '{{ this }}'::regclass) then
            {%- if this.identifier.startswith('fct_') and 'territory_key' in model.columns %}
                perform create_distributed_table('{{ this }}', 'territory_key');
            {%- else %}
                perform create_reference_table('{{ this }}');
            {%- endif %}
            end if;
        end if;
    end
    $$
    {%- endif -%}
{% endmacro %}
