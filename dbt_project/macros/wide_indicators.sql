{#
  One column per indicator of a field, for people who pivot in a spreadsheet. The columns come from the catalogue, so a new
  indicator touches seeds only. Their order is that of their publication, because a published view can only grow at its end;
  an indicator that left the catalogue keeps its column, empty.
#}
{% macro wide_indicators(field_code) %}
select
    indicator.territory_code,
    indicator.territory_name,
    case length(indicator.territory_code)
        when 2 then case indicator.territory_code when 'DG' then 'country' else 'state' end
        when 3 then 'region'
        when 5 then 'county'
        when 8 then 'municipality'
        when 9 then 'association'
    end as territory_level,
    indicator.period_code,
    period.label_de as period_name,
    period.year,
    period.end_date as period_end_date,
    bool_or(indicator.is_demo) as is_demo
    {%- for column in wide_indicator_columns(field_code) %},
    {% if column.is_listed -%}
    max(indicator.value) filter (where indicator.indicator_code = '{{ column.indicator_code }}') as {{ column.name }}
    {%- else -%}
    null::numeric as {{ column.name }}
    {%- endif %}
    {%- endfor %}
from {{ ref('rpt_indicator') }} as indicator
inner join {{ ref('dim_period') }} as period
    on indicator.period_code = period.period_code
where
    indicator.nationality = 'total'
    and indicator.sex = 'total'
    and indicator.age_band = 'total'
    and indicator.category = 'total'
    and indicator.indicator_code in (
        {%- for column in wide_indicator_columns(field_code) %}'{{ column.indicator_code }}'{{ ', ' if not loop.last }}
        {%- else %}''{% endfor -%}
    )
group by
    indicator.territory_code, indicator.territory_name, indicator.period_code, period.label_de, period.year,
    period.end_date
{% endmacro %}

{# Post-hook: what each of these columns holds, in both languages. #}
{% macro describe_wide_indicators(field_code) %}
    {% for column in wide_indicator_columns(field_code) %}
        comment on column {{ this }}.{{ column.name }} is '{{ column.description | replace("'", "''") }}';
    {% endfor %}
    select 1
{% endmacro %}

{# The columns in their order: name, indicator_code, description, is_listed (still in the catalogue). #}
{% macro wide_indicator_columns(field_code) %}
    {% set columns = [] %}
    {% set definitions = ref('dim_indicator') %}
    {% if not execute or load_relation(definitions) is none %}{{ return(columns) }}{% endif %}
    {% set listed = {} %}
    {% for row in run_query(
        "select indicator_code, name_en, unit_en, name_de, unit_de from " ~ definitions
        ~ " where is_default and field_code = '" ~ field_code ~ "' order by indicator_code"
    ).rows %}
        {% do listed.update({row[0] | lower | replace('-', '_'): row}) %}
    {% endfor %}
    {% set names = [] %}
    {% for schema in ['marts', this.schema] %}
        {% set relation = adapter.get_relation(this.database, schema, this.identifier) %}
        {% for column in (adapter.get_columns_in_relation(relation) if relation is not none else []) %}
            {% if modules.re.match('[a-z]+_[0-9]+$', column.name) and column.name not in names %}
                {% do names.append(column.name) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {% for name in names + (listed.keys() | reject('in', names) | list) %}
        {% set code = name | upper | replace('_', '-') %}
        {% if name in listed %}
            {% set row = listed[name] %}
            {% set description = code ~ ' ' ~ row[1] ~ ' (' ~ row[2] ~ '); empty where there is none or it is secret. | '
                ~ code ~ ' ' ~ row[3] ~ ' (' ~ row[4] ~ '); leer, wo es keinen Wert gibt oder er gesperrt ist.' %}
        {% else %}
            {% set description = code ~ ' is no longer in the catalogue; empty. | '
                ~ code ~ ' steht nicht mehr im Katalog; leer.' %}
        {% endif %}
        {% do columns.append(
            {'name': name, 'indicator_code': code, 'description': description, 'is_listed': name in listed}
        ) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}
