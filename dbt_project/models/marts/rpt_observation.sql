{{ config(materialized='view') }}

select
    observation.measure_code,
    observation.territory_code,
    observation.period_code,
    observation.nationality,
    observation.sex,
    observation.age_band,
    observation.category,
    observation.value,
    observation.obs_status,
    observation.conf_status,
    observation.known_from,
    observation.dataset_id,
    observation.delivery_id
from {{ ref('fct_observation') }} as observation
