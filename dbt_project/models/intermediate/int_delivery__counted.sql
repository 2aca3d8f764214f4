{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Which deliveries count, and until when those did that no longer do: as it stood when this build began. What is loaded or
-- withdrawn while it runs is the next one's business, so that all tables of a build speak of the same deliveries.
select
    delivery_id,
    dataset_id,
    known_from,
    known_until
from {{ source('ops', 'delivery_counted') }}
