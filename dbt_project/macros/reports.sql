{# Query behind rpt_observation and its converted twin: the facts that count today on one territorial basis, with names. #}
{% macro report_observations(basis) %}
select
    measure.measure_code,
    territory.territory_code,
    territory.territory_name,
    period.period_code,
    population_group.nationality,
    population_group.sex,
    population_group.age_band,
    category.category_code as category,
    observation.value,
    null::numeric as numerator,
    null::numeric as denominator,
    observation.obs_status,
    observation.conf_status,
    observation.known_from,
    dataset.dataset_id,
    observation.delivery_id,
    measure.name_de as measure_name_de,
    category.category_name,
    measure.unit,
    observation.territorial_method,
    observation.is_derived,
    observation.correction_id,
    delivery.is_demo,
    observation.territorial_basis,
    observation.territorial_factor,
    observation.row_number,
    observation.column_number
from {{ ref('fct_observation_vintage') }} as observation
{{ with_names('observation', 'measure') }}
left join {{ ref('dim_dataset') }} as dataset
    on observation.dataset_key = dataset.dataset_key
left join {{ ref('dim_delivery') }} as delivery
    on observation.delivery_id = delivery.delivery_id
where observation.known_until is null and observation.territorial_basis in ('both', '{{ basis }}')
{% endmacro %}

{# Query behind rpt_indicator, its converted twin and rpt_indicator_indicator. #}
{% macro report_indicators(basis, with_default=false) %}
select
    indicator.indicator_code,
    territory.territory_code,
    territory.territory_name,
    period.period_code,
    population_group.nationality,
    population_group.sex,
    population_group.age_band,
    category.category_code as category,
    fact.value,
    fact.numerator,
    fact.denominator,
    fact.obs_status,
    fact.conf_status,
    fact.known_from,
    fact.numerator_dataset_id as dataset_id,
    fact.numerator_delivery_id as delivery_id,
    indicator.name_de as indicator_name_de,
    indicator.unit_de as unit,
    indicator.definition_version,
    fact.numerator_period_code,
    fact.denominator_period_code,
    fact.denominator_dataset_id,
    fact.denominator_delivery_id,
    fact.wilson_low,
    fact.wilson_high,
    fact.is_small_number,
    indicator.caveat_de,
    numerator_delivery.is_demo or coalesce(denominator_delivery.is_demo, false) as is_demo,
    fact.territorial_basis,
    fact.territorial_method,
    fact.null_reason
    {{- ',\n    indicator.is_default' if with_default }}
from {{ ref('fct_indicator_vintage') }} as fact
{{ with_names('fact', 'indicator') }}
left join {{ ref('dim_delivery') }} as numerator_delivery
    on fact.numerator_delivery_id = numerator_delivery.delivery_id
left join {{ ref('dim_delivery') }} as denominator_delivery
    on fact.denominator_delivery_id = denominator_delivery.delivery_id
where
    fact.known_until is null
    and fact.territorial_basis in ('both', '{{ basis }}')
    {{- '' if with_default else '\n    and indicator.is_default' }}
{% endmacro %}

{#
  Joins from the keys of a fact to its dimensions, under the names the reports use. Foreign keys see to it that each has its row;
  left joins let PostgreSQL leave out those a question does not ask for.
#}
{% macro with_names(fact, subject) %}
left join {{ ref('dim_' ~ subject) }} as {{ subject }}
    on {{ fact }}.{{ subject }}_key = {{ subject }}.{{ subject }}_key
left join {{ ref('dim_period') }} as period
    on {{ fact }}.period_key = period.period_key
left join {{ ref('dim_territory') }} as territory
    on {{ fact }}.territory_key = territory.territory_key
left join {{ ref('dim_population_group') }} as population_group
    on {{ fact }}.population_group_key = population_group.population_group_key
left join {{ ref('dim_category') }} as category
    on {{ fact }}.category_key = category.category_key
{%- endmacro %}

{#
  The other way round: joins from the codes of numbers to the rows of the dimensions whose keys a fact carries. The unit is the one
  that stood on the reference date of the period or, for numbers on the converted basis, stands on the territorial state.
#}
{% macro with_keys(numbers, has_basis=true) %}
left join {{ ref('dim_measure') }} as measure
    on {{ numbers }}.measure_code = measure.measure_code
left join {{ ref('dim_period') }} as period
    on {{ numbers }}.period_code = period.period_code
left join {{ ref('dim_territory') }} as territory
    on
        {{ numbers }}.territory_code = territory.territory_code
        and {% if has_basis -%}
            case
                when {{ numbers }}.territorial_basis = 'converted' then {{ territorial_state() }}
                else period.reference_date
            end
        {%- else %}period.reference_date{% endif %} between territory.covers_from and territory.covers_to
left join {{ ref('dim_population_group') }} as population_group
    on
        {{ numbers }}.nationality = population_group.nationality
        and {{ numbers }}.sex = population_group.sex
        and {{ numbers }}.age_band = population_group.age_band
left join {{ ref('dim_category') }} as category
    on {{ numbers }}.category = category.category_code
left join {{ ref('dim_dataset') }} as dataset
    on {{ numbers }}.dataset_id = dataset.dataset_id
{%- endmacro %}
