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
inner join {{ ref('dim_measure') }} as measure
    on observation.measure_key = measure.measure_key
inner join {{ ref('dim_period') }} as period
    on observation.period_key = period.period_key
inner join {{ ref('dim_territory') }} as territory
    on observation.territory_key = territory.territory_key
inner join {{ ref('dim_population_group') }} as population_group
    on observation.population_group_key = population_group.population_group_key
inner join {{ ref('dim_category') }} as category
    on observation.category_key = category.category_key
inner join {{ ref('dim_dataset') }} as dataset
    on observation.dataset_key = dataset.dataset_key
inner join {{ ref('dim_delivery') }} as delivery
    on observation.delivery_id = delivery.delivery_id
where observation.known_until is null and observation.territorial_basis in ('both', '{{ basis }}')
{% endmacro %}

{# Query behind rpt_indicator, its converted twin and rpt_indicator_definition. #}
{% macro report_indicators(basis, with_default=false) %}
select
    definition.indicator_code,
    territory.territory_code,
    territory.territory_name,
    period.period_code,
    population_group.nationality,
    population_group.sex,
    population_group.age_band,
    category.category_code as category,
    indicator.value,
    indicator.numerator,
    indicator.denominator,
    indicator.obs_status,
    indicator.conf_status,
    indicator.known_from,
    indicator.numerator_dataset_id as dataset_id,
    indicator.numerator_delivery_id as delivery_id,
    definition.name_de as indicator_name_de,
    definition.unit_de as unit,
    definition.definition_version,
    indicator.numerator_period_code,
    indicator.denominator_period_code,
    indicator.denominator_dataset_id,
    indicator.denominator_delivery_id,
    indicator.wilson_low,
    indicator.wilson_high,
    indicator.is_small_number,
    definition.caveat_de,
    numerator_delivery.is_demo or coalesce(denominator_delivery.is_demo, false) as is_demo,
    indicator.territorial_basis,
    indicator.territorial_method
    {{- ',\n    definition.is_default' if with_default }}
from {{ ref('fct_indicator_vintage') }} as indicator
inner join {{ ref('dim_indicator') }} as definition
    on indicator.indicator_key = definition.indicator_key
inner join {{ ref('dim_period') }} as period
    on indicator.period_key = period.period_key
inner join {{ ref('dim_territory') }} as territory
    on indicator.territory_key = territory.territory_key
inner join {{ ref('dim_population_group') }} as population_group
    on indicator.population_group_key = population_group.population_group_key
inner join {{ ref('dim_category') }} as category
    on indicator.category_key = category.category_key
inner join {{ ref('dim_delivery') }} as numerator_delivery
    on indicator.numerator_delivery_id = numerator_delivery.delivery_id
left join {{ ref('dim_delivery') }} as denominator_delivery
    on indicator.denominator_delivery_id = denominator_delivery.delivery_id
where
    indicator.known_until is null
    and indicator.territorial_basis in ('both', '{{ basis }}')
    {{- '' if with_default else '\n    and definition.is_default' }}
{% endmacro %}
