{{ config(materialized='view') }}

select
    indicator.indicator_code,
    indicator.territory_code,
    territory.territory_name,
    indicator.period_code,
    indicator.nationality,
    indicator.sex,
    indicator.age_band,
    indicator.category,
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
    indicator.definition_version,
    indicator.numerator_period_code,
    indicator.denominator_period_code,
    indicator.denominator_dataset_id,
    indicator.denominator_delivery_id,
    indicator.wilson_low,
    indicator.wilson_high,
    indicator.is_small_number,
    definition.caveat_de,
    numerator_delivery.is_demo or coalesce(denominator_delivery.is_demo, false) as is_demo
from {{ ref('fct_indicator') }} as indicator
inner join {{ ref('dim_indicator') }} as definition
    on
        indicator.indicator_code = definition.indicator_code
        and indicator.definition_version = definition.definition_version
left join {{ ref('dim_delivery') }} as numerator_delivery
    on indicator.numerator_delivery_id = numerator_delivery.delivery_id
left join {{ ref('dim_delivery') }} as denominator_delivery
    on indicator.denominator_delivery_id = denominator_delivery.delivery_id
left join {{ ref('dim_territory') }} as territory
    on indicator.territory_code = territory.territory_code
where definition.is_default
