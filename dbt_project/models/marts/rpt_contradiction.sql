{{ config(materialized='view') }}

select
    measure.measure_code,
    territory.territory_code,
    territory.territory_name,
    period.period_code,
    population_group.nationality,
    population_group.sex,
    population_group.age_band,
    category.category_code as category,
    dataset.dataset_id,
    contradiction.value,
    contradiction.obs_status,
    contradiction.delivery_id,
    counting_dataset.dataset_id as counting_dataset_id,
    contradiction.counting_value,
    contradiction.counting_obs_status,
    contradiction.counting_delivery_id,
    contradiction.difference,
    contradiction.tolerance,
    measure.name_de as measure_name_de,
    dataset.dataset_name,
    counting_dataset.dataset_name as counting_dataset_name
from {{ ref('fct_contradiction') }} as contradiction
{{ with_names('contradiction', 'measure') }}
inner join {{ ref('dim_dataset') }} as dataset
    on contradiction.dataset_key = dataset.dataset_key
inner join {{ ref('dim_dataset') }} as counting_dataset
    on contradiction.counting_dataset_key = counting_dataset.dataset_key
