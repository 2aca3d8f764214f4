{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Who became whom. A link is exact when the old unit went wholly into the new one and the new one was made of nothing but
-- whole units: then sums under the old keys are the sum under the new key, and no factor is needed.
with listed as (
    select distinct
        old_code,
        new_code,
        statistical_date as effective_date,
        change_type ~ '[13]' as is_whole
    from {{ ref('stg_register__territorial_changes') }}
    where
        length(old_code) = 8 and length(new_code) = 8 and old_code <> new_code
        and statistical_date is not null
        and change_type ~ '[123]'
    union
    select
        territory_code,
        successor_code,
        valid_to + 1,
        true
    from {{ ref('territories') }}
    where successor_code is not null
),

judged as (
    select
        old_code,
        new_code,
        effective_date,
        is_whole
        and min(new_code) over from_old = max(new_code) over from_old as is_whole_unit,
        bool_and(is_whole) over into_new as is_made_of_wholes
    from listed
    window
        from_old as (partition by old_code, effective_date),
        into_new as (partition by new_code, effective_date)
)

select
    old_code,
    new_code,
    effective_date,
    bool_and(is_whole_unit) as is_whole_unit,
    bool_and(is_whole_unit) and bool_and(is_made_of_wholes) as is_whole_unit_merger
from judged
group by old_code, new_code, effective_date
