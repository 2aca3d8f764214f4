{{ config(materialized='view') }}

select
    observation.measure_code,
    observation.territory_code,
    territory.territory_name,
    observation.period_code,
    observation.nationality,
    observation.sex,
    observation.age_band,
    observation.category,
    observation.value,
    null::numeric as numerator,
    null::numeric as denominator,
    observation.obs_status,
    observation.conf_status,
    observation.known_from,
    observation.dataset_id,
    observation.delivery_id,
    measure.name_de as measure_name_de,
    observation.category_name,
    measure.unit,
    observation.territorial_method,
    observation.is_derived,
    observation.correction_id,
    delivery.is_demo
from {{ ref('fct_observation') }} as observation
left join {{ ref('dim_measure') }} as measure
    on observation.measure_code = measure.measure_code
left join {{ ref('dim_delivery') }} as delivery
    on observation.delivery_id = delivery.delivery_id
left join {{ ref('dim_territory') }} as territory
    on observation.territory_code = territory.territory_code
