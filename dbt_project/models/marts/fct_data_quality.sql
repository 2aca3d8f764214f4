{{ config(materialized='incremental', incremental_strategy='replace') }}

-- Sentence, place and cells of a finding stay in ops: they may quote what stood in a refused file. Here is what can be counted.
with found as (
    select
        delivery_id,
        rule,
        min(array_position(array['critical', 'warning', 'info'], severity)) as severity_rank,
        count(*) as finding_count,
        sum(row_count)::bigint as row_count,
        max(found_at) as found_at
    from {{ source('ops', 'finding') }}
    group by delivery_id, rule
)

select
    found.delivery_id,
    found.rule as rule_code,
    {{ surrogate_key(['delivery.dataset_id']) }} as dataset_key,
    {{ surrogate_key(["split_part(delivery.dataset_id, '__', 1)"]) }} as agency_key,
    (array['critical', 'warning', 'info'])[found.severity_rank] as severity,
    case
        when delivery.state in ('loaded', 'validated', 'withdrawn') then 'accepted'
        when delivery.state = 'quarantined' then 'refused'
        else 'open'
    end as verdict,
    found.finding_count,
    found.row_count,
    delivery.row_count as delivery_row_count,
    found.found_at,
    delivery.is_demo
from found
inner join {{ source('ops', 'delivery') }} as delivery
    on found.delivery_id = delivery.delivery_id
