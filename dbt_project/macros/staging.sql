{# The observation contract: names and types every staging model of observations yields, in this order. #}
{% macro observation_shape() %}
    {{ return({
        'measure_code': 'text', 'territory_code': 'text', 'period_code': 'text', 'nationality': 'text', 'sex': 'text',
        'age_band': 'text', 'category': 'text', 'value': 'numeric', 'obs_status': 'text', 'conf_status': 'text',
        'dataset_id': 'text', 'delivery_id': 'bigint', 'row_number': 'integer', 'column_number': 'integer',
        'known_from': 'timestamp with time zone', 'territory_name_delivered': 'text', 'category_name': 'text',
    }) }}
{% endmacro %}

{% macro observation_columns() %}{{ return(observation_shape().keys() | list) }}{% endmacro %}

{# What identifies one number: measure x territory x period x group x category. #}
{% macro key_columns() %}
    {{ return([
        'measure_code', 'territory_code', 'period_code', 'nationality', 'sex', 'age_band', 'category',
    ]) }}
{% endmacro %}

{#
  Predicate: staging shows the rows of this delivery. Of a withdrawn one too: what it said may be history, which
  int_delivery__counted decides once for a whole build.
#}
{% macro is_delivered(delivery) %}{{ delivery }}.state in ('loaded', 'withdrawn'){% endmacro %}

{#
  One staging model of observations.
  dataset:      the dataset id, which is also the raw table
  delivered:    which of measure_code, nationality, sex, age_band, category, category_name the file varies in
  constants:    what the file leaves unsaid, e.g. {'measure_code': 'population', 'nationality': 'foreign'}
  defaults:     what rows say that were loaded before the contract had the column, e.g. {'nationality': 'total'}
  expressions:  a coordinate that is made of the delivered one, e.g. {'category': "'club_' || delivered.category"}
  Everything neither delivered nor constant is 'total' (category_name: null).
#}
{% macro stage_observations(dataset, delivered=[], constants={}, defaults={}, expressions={}) %}
select
    {%- for column in ['measure_code', 'territory_code', 'period_code', 'nationality', 'sex', 'age_band', 'category'] %}
    {%- if column in expressions %}
    {{ expressions[column] }} as {{ column }},
    {%- elif column in defaults %}
    coalesce(delivered.{{ column }}, '{{ defaults[column] }}') as {{ column }},
    {%- elif column in delivered or column in ['territory_code', 'period_code'] %}
    delivered.{{ column }},
    {%- else %}
    '{{ constants.get(column, "total") }}'::text as {{ column }},
    {%- endif %}
    {%- endfor %}
    delivered.value::numeric as value,
    delivered.obs_status,
    delivered.conf_status,
    '{{ dataset }}'::text as dataset_id,
    delivered._delivery_id as delivery_id,
    delivered._row_number as row_number,
    delivered._column_number as column_number,
    delivery.received_at as known_from,
    delivered.territory_name as territory_name_delivered,
    {{ 'delivered.category_name' if 'category_name' in delivered else 'null::text as category_name' }}
from {{ source('raw', dataset) }} as delivered
inner join {{ source('ops', 'delivery') }} as delivery
    on delivered._delivery_id = delivery.delivery_id
where {{ is_delivered('delivery') }} and delivery.dataset_id = '{{ dataset }}'
{%- endmacro %}
