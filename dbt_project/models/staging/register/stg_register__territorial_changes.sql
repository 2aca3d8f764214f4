-- Associations have no municipality key; their regional key stands in.
select
    change.change_id,
    change.unit_type,
    coalesce(nullif(change.old_code, ''), nullif(change.old_ars, '')) as old_code,
    change.old_name,
    change.change_type,
    nullif(change.area_m2, '')::numeric as area_m2,
    nullif(change.population, '')::numeric as population,
    coalesce(nullif(change.new_code, ''), nullif(change.new_ars, '')) as new_code,
    change.new_name,
    nullif(change.legal_date, '')::date as legal_date,
    nullif(change.statistical_date, '')::date as statistical_date,
    change._delivery_id as delivery_id,
    change._row_number as row_number,
    delivery.received_at as known_from
from {{ source('raw', 'register__territorial_changes') }} as change
inner join {{ source('ops', 'delivery') }} as delivery
    on change._delivery_id = delivery.delivery_id
where delivery.state = 'loaded' and delivery.dataset_id = 'register__territorial_changes'
