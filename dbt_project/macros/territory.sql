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

{# SQL expression: the area of a key, "03157 8": the county it begins with and how long it is - all municipalities of a county. #}
{% macro area_code(code) -%}left({{ code }}, 5) || ' ' || length({{ code }}){%- endmacro %}

{# SQL expression: the size class of a municipality, null where it has none. #}
{% macro size_class(level, population, is_unincorporated) -%}
    case
        when {{ level }} <> 'municipality' or {{ population }} is null then null
        when {{ is_unincorporated }} and {{ population }} = 0 then null
        when {{ population }} < 5000 then '1'
        when {{ population }} < 10000 then '2'
        when {{ population }} < 20000 then '3'
        when {{ population }} < 50000 then '4'
        when {{ population }} < 100000 then '5'
        else '6'
    end
{%- endmacro %}

{#
  Query of (territory, period, basis): units that were not there yet, on either basis. One office speaks under their key of the
  territory of the state already (`both`), another delivers what was there (`as_delivered`, `converted`): on each basis these are
  two numbers for the same.
#}
{% macro bases_of_units_ahead() %}
    select
        changed.territory_code,
        period.period_code,
        basis.counted_as
    from {{ ref('int_territory__changed') }} as changed
    inner join {{ ref('int_period__parsed') }} as period
        on changed.reference_date = period.reference_date
    cross join (values ('as_delivered'), ('converted')) as basis (counted_as)
    where changed.is_ahead
{% endmacro %}

{# Join: the bases on which a candidate contends; more than its own only for what is ahead of its territory. #}
{% macro contending_bases(candidate) -%}
    left join bases_ahead
        on
            {{ candidate }}.territory_code = bases_ahead.territory_code
            and {{ candidate }}.period_code = bases_ahead.period_code
            and {{ candidate }}.territorial_basis in ('both', bases_ahead.counted_as)
{%- endmacro %}

{# SQL expression: last come those that say nothing under a key that was not there yet. #}
{% macro says_nothing_ahead(candidate) -%}
    (bases_ahead.counted_as is not null and {{ says_nothing(candidate) }})
{%- endmacro %}
