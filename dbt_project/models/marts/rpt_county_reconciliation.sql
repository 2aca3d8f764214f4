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
    reconciliation.municipality_count,
    reconciliation.municipal_sum,
    delivered_dataset.dataset_id as delivered_dataset_id,
    reconciliation.delivered_value,
    reconciliation.difference,
    reconciliation.tolerance,
    reconciliation.explanation
from {{ ref('fct_county_reconciliation') }} as reconciliation
{{ with_names('reconciliation', 'measure') }}
inner join {{ ref('dim_dataset') }} as dataset
    on reconciliation.dataset_key = dataset.dataset_key
inner join {{ ref('dim_dataset') }} as delivered_dataset
    on reconciliation.delivered_dataset_key = delivered_dataset.dataset_key
