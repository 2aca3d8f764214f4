{{ config(materialized='view') }}

-- The facts with their codes, for the arithmetic of indicators.
select
    vintage.measure_key,
    vintage.period_key,
    territory.territory_code,
    population_group.nationality,
    population_group.sex,
    population_group.age_band,
    category.category_code as category,
    vintage.territorial_basis,
    vintage.territorial_method,
    vintage.value,
    vintage.obs_status,
    vintage.conf_status,
    dataset.dataset_id,
    vintage.delivery_id,
    vintage.is_derived,
    vintage.known_from,
    vintage.known_until
from {{ ref('fct_observation_vintage') }} as vintage
inner join {{ ref('dim_territory') }} as territory
    on vintage.territory_key = territory.territory_key
inner join {{ ref('dim_population_group') }} as population_group
    on vintage.population_group_key = population_group.population_group_key
inner join {{ ref('dim_category') }} as category
    on vintage.category_key = category.category_key
inner join {{ ref('dim_dataset') }} as dataset
    on vintage.dataset_key = dataset.dataset_key
