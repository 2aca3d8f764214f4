select
    delivered.category as programme_code,
    max(delivered.category_name) as programme_name,
    max(delivered.programme_field) as programme_field,
    max(delivered.programme_provider) as programme_provider,
    min(delivered.period_code) as first_period_code,
    max(delivered.period_code) as last_period_code,
    delivered._delivery_id as delivery_id,
    min(delivered._row_number) as row_number,
    min(delivery.received_at) as known_from
from {{ source('raw', 'jobcentre__programmes') }} as delivered
inner join {{ source('ops', 'delivery') }} as delivery
    on delivered._delivery_id = delivery.delivery_id
where delivery.state = 'loaded' and delivery.dataset_id = 'jobcentre__programmes'
group by delivered.category, delivered._delivery_id
