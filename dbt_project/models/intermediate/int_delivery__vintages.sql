{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- When something about a measure and period became known or no longer counted: the moments at which a number made of several cells can change.
-- By dataset, and for all datasets together (dataset_id '*').
with moments as (
    select
        measure_code,
        period_code,
        coalesce(dataset_id, '*') as dataset_id,
        moment as known_from
    from {{ ref('int_delivery__contents') }}
    cross join lateral (values (known_from), (known_until)) as change (moment)
    where moment is not null
    group by grouping sets ((measure_code, period_code, dataset_id, moment), (measure_code, period_code, moment))
)

select
    measure_code,
    period_code,
    dataset_id,
    known_from,
    lead(known_from) over (partition by measure_code, period_code, dataset_id order by known_from) as known_until
from moments
