{{ config(materialized='incremental', incremental_strategy='replace') }}

-- What a programme is called and who carries it out, as the latest delivery says; the quarters are those of all deliveries.
with listed as (
    select distinct on (programme_code)
        programme_code,
        programme_name,
        programme_field,
        programme_provider,
        delivery_id,
        min(first_period_code) over (partition by programme_code) as first_period_code,
        max(last_period_code) over (partition by programme_code) as last_period_code
    from {{ ref('stg_jobcentre__programme_list') }}
    order by programme_code, known_from desc, delivery_id desc
)

select
    {{ surrogate_key(['listed.programme_code']) }} as programme_key,
    listed.programme_code,
    coalesce(listed.programme_name, listed.programme_code) as programme_name,
    listed.programme_field,
    listed.programme_provider,
    listed.first_period_code,
    listed.last_period_code,
    listed.delivery_id
from listed
