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
    revision.revised_at,
    revision.old_value,
    revision.new_value,
    revision.difference,
    revision.old_obs_status,
    revision.new_obs_status,
    revision.old_delivery_id,
    revision.new_delivery_id,
    delivery.file_name as new_file_name,
    revision.new_row_number,
    revision.reason,
    revision.note_de,
    revision.note_en
from {{ ref('fct_revision') }} as revision
{{ with_names('revision', 'measure') }}
inner join {{ ref('dim_dataset') }} as dataset
    on revision.dataset_key = dataset.dataset_key
left join {{ ref('dim_delivery') }} as delivery
    on revision.new_delivery_id = delivery.delivery_id
