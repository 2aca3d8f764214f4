{#
  SQL expression: the day on whose territories converted series stand. The environment variable
  `TEILHABE_TERRITORIAL_STATE` (ISO date) chooses it; without, it is the day of the build.
#}
{% macro territorial_state() -%}
    {% if env_var('TEILHABE_TERRITORIAL_STATE', '') %}date '{{ env_var("TEILHABE_TERRITORIAL_STATE") }}'{% else %}current_date{% endif %}
{%- endmacro %}

{# Predicate: the number is booked under a key that was dead at its reference date, and the valid key is known. #}
{% macro booked_under_dead_key(row, period, lineage) -%}
    {{ row }}.territory_code = {{ lineage }}.old_code
    and {{ period }}.reference_date >= {{ lineage }}.dead_from
    and {{ period }}.reference_date >= {{ lineage }}.new_valid_from
    and {{ period }}.reference_date <= coalesce({{ lineage }}.new_valid_to, date '9999-12-31')
{%- endmacro %}

{# Predicate: this row of int_territory__validity is the unit as it was on that day. #}
{% macro valid_on(unit, code, day) -%}
    {{ unit }}.territory_code = {{ code }}
    and {{ day }} between {{ unit }}.valid_from and coalesce({{ unit }}.valid_to, date '9999-12-31')
{%- endmacro %}

{# Predicate: no exact sum of municipalities counts instead of this converted number. #}
{% macro not_replaced(row) -%}
    not exists (
        select 1 from {{ ref('int_observation__rolled_up') }} as better
        where
            better.replaces_own
            {%- for column in key_columns() + ['dataset_id', 'territorial_basis', 'known_from'] %}
            and better.{{ column }} = {{ row }}.{{ column }}
            {%- endfor %}
    )
{%- endmacro %}
