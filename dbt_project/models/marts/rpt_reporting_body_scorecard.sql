{{ config(materialized='incremental', incremental_strategy='replace') }}

-- Everything is counted in the year in which it happened: a delivery in the year it was due, a revision when it arrived, an
-- incident when it began. As things stood when the warehouse was built.
with owed as (
    select
        dataset_id,
        sender_code,
        period_code,
        extract(year from due_on)::integer as year_of_event,
        case state
            when 'delivered' then 'in_time'
            when 'overdue' then 'missing'
            when 'due' then 'pending'
            else state
        end as what
    from {{ source('ops', 'delivery_due') }}
    where state <> 'not_yet_due'
),

judged as (
    select
        delivery_id,
        dataset_id,
        sender_code,
        received_at,
        state = 'loaded' as is_accepted,
        nullif(periods, '{}') as periods,
        count(nullif(periods, '{}')) over (
            partition by dataset_id, sender_code
            order by received_at desc, delivery_id desc
        ) as readable_from_here
    from {{ source('ops', 'delivery') }}
    where state in ('loaded', 'quarantined')
),

-- A file that could not be read was meant for the periods of the next one that could.
meant as (
    select
        delivery_id,
        dataset_id,
        sender_code,
        received_at,
        is_accepted,
        max(periods) over (partition by dataset_id, sender_code, readable_from_here) as periods
    from judged
),

first_attempt as (
    select distinct on (owed.dataset_id, owed.sender_code, owed.period_code)
        owed.dataset_id,
        owed.sender_code,
        owed.year_of_event,
        case when meant.is_accepted then 'accepted_at_once' else 'refused_at_first' end as what
    from meant
    cross join lateral unnest(meant.periods) as told (period_code)
    inner join owed
        on
            meant.dataset_id = owed.dataset_id
            and told.period_code = owed.period_code
            and (owed.sender_code is null or meant.sender_code = owed.sender_code)
    order by owed.dataset_id, owed.sender_code, owed.period_code, meant.received_at, meant.delivery_id
),

-- What the office sent and when, where a delivery shows it: the pipeline may have run later.
incident as (
    select
        incident.dataset_id,
        incident.sender_code,
        incident.state,
        coalesce(opening.received_at, incident.first_seen_at) at time zone {{ office_time_zone() }} as began_at,
        coalesce(mending.received_at, incident.closed_at) at time zone {{ office_time_zone() }} as ended_at
    from {{ source('ops', 'incident') }} as incident
    left join lateral (
        select delivery.received_at
        from {{ source('ops', 'incident_event') }} as event
        inner join {{ source('ops', 'delivery') }} as delivery
            on event.delivery_id = delivery.delivery_id
        where event.incident_id = incident.incident_id and event.action = 'opened'
        order by event.event_id
        limit 1
    ) as opening on true
    left join lateral (
        select delivery.received_at
        from {{ source('ops', 'incident_event') }} as event
        inner join {{ source('ops', 'delivery') }} as delivery
            on event.delivery_id = delivery.delivery_id
        where event.incident_id = incident.incident_id and event.action = 'fixed'
        order by event.event_id desc
        limit 1
    ) as mending on true
    where incident.cause_id is null
),

revision as (
    select
        dataset.dataset_id,
        delivery.sender_code,
        extract(year from revision.revised_at at time zone {{ office_time_zone() }})::integer as year_of_event,
        case when revision.reason = 'none' then 'revised_without_reason' else 'revised' end as what
    from {{ ref('fct_revision') }} as revision
    inner join {{ ref('dim_dataset') }} as dataset
        on revision.dataset_key = dataset.dataset_key
    inner join {{ source('ops', 'delivery') }} as delivery
        on revision.new_delivery_id = delivery.delivery_id
),

happened as (
    select
        dataset_id,
        sender_code,
        year_of_event,
        what,
        1 as how_many,
        null::integer as days
    from owed

    union all

    select
        dataset_id,
        sender_code,
        year_of_event,
        what,
        1 as how_many,
        null as days
    from first_attempt

    union all

    select
        dataset_id,
        sender_code,
        year_of_event,
        what,
        count(*) as how_many,
        null as days
    from revision
    group by dataset_id, sender_code, year_of_event, what

    union all

    select
        dataset_id,
        sender_code,
        extract(year from began_at)::integer as year_of_event,
        case when state = 'fixed' then 'mended' when state <> 'waived' then 'open' else 'waived' end as what,
        1 as how_many,
        case when state = 'fixed' then greatest(ended_at::date - began_at::date, 0) end as days
    from incident
),

-- Once per sender, once for the dataset as a whole; what came from nobody known counts for the whole alone.
counted as (
    select
        dataset_id,
        case when grouping(sender_code) = 0 then sender_code end as sender_code,
        year_of_event,
        coalesce(sum(how_many) filter (where what in ('in_time', 'late', 'missing', 'pending')), 0) as due,
        coalesce(sum(how_many) filter (where what = 'in_time'), 0) as in_time,
        coalesce(sum(how_many) filter (where what = 'late'), 0) as late,
        coalesce(sum(how_many) filter (where what = 'missing'), 0) as missing,
        coalesce(sum(how_many) filter (where what = 'pending'), 0) as pending,
        coalesce(sum(how_many) filter (where what = 'accepted_at_once'), 0) as accepted_at_once,
        coalesce(sum(how_many) filter (where what in ('accepted_at_once', 'refused_at_first')), 0) as attempted,
        coalesce(sum(how_many) filter (where what in ('revised', 'revised_without_reason')), 0) as revised,
        coalesce(sum(how_many) filter (where what = 'revised_without_reason'), 0) as revised_without_reason,
        coalesce(sum(how_many) filter (where what = 'open'), 0) as still_open,
        coalesce(sum(how_many) filter (where what = 'mended'), 0) as mended,
        percentile_cont(0.5) within group (order by days) as median_days
    from happened
    group by grouping sets ((dataset_id, sender_code, year_of_event), (dataset_id, year_of_event))
    having grouping(sender_code) = 1 or sender_code is not null
),

made_up as (
    select distinct dataset_id
    from {{ source('ops', 'delivery') }}
    where is_demo
),

sender as (
    select distinct on (territory_code)
        territory_code,
        territory_name
    from {{ ref('dim_territory') }}
    order by territory_code, covers_from desc
)

select
    {{ surrogate_key(['counted.dataset_id', "coalesce(counted.sender_code, '')", 'counted.year_of_event']) }}
        as scorecard_key,
    counted.dataset_id,
    dataset.dataset_name,
    dataset.agency_code,
    dataset.office_name,
    counted.sender_code,
    sender.territory_name as sender_name,
    counted.year_of_event as year,
    counted.due::integer as periods_due,
    counted.in_time::integer as periods_in_time,
    counted.late::integer as periods_late,
    counted.missing::integer as periods_missing,
    counted.pending::integer as periods_pending,
    round(counted.in_time::numeric / nullif(counted.due - counted.pending, 0), 4) as timeliness_share,
    round((counted.in_time + counted.late)::numeric / nullif(counted.due - counted.pending, 0), 4)
        as completeness_share,
    counted.attempted::integer as periods_attempted,
    counted.accepted_at_once::integer as periods_accepted_at_once,
    round(counted.accepted_at_once::numeric / nullif(counted.attempted, 0), 4) as first_pass_share,
    counted.revised::integer as revised_numbers,
    counted.revised_without_reason::integer as revised_numbers_without_reason,
    counted.still_open::integer as incidents_open,
    counted.mended::integer as incidents_mended,
    counted.median_days::numeric as median_days_to_mend,
    made_up.dataset_id is not null as is_demo
from counted
left join {{ ref('dim_dataset') }} as dataset
    on counted.dataset_id = dataset.dataset_id
left join sender
    on counted.sender_code = sender.territory_code
left join made_up
    on counted.dataset_id = made_up.dataset_id
