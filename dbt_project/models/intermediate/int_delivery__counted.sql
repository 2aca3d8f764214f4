{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Which deliveries count, and until when those did that no longer do: as it stood when this build began. What is loaded or
-- withdrawn while it runs is the next one's business, so that all tables of a build speak of the same deliveries.
select
    counted.delivery_id,
    counted.dataset_id,
    delivery.sender_code,
    counted.known_from,
    counted.known_until
from {{ source('ops', 'delivery_counted') }} as counted
inner join {{ source('ops', 'delivery') }} as delivery
    on counted.delivery_id = delivery.delivery_id
