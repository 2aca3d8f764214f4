-- Views and functions of ops: made anew by every installation whose code differs, after the migrations.
-- Tables, their columns, constraints and indexes change by migrations alone.

create or replace view ops.delivery_counted as
select d.delivery_id, d.dataset_id, d.received_at as known_from,
    case when d.state <> 'loaded' then greatest(d.state_at, d.received_at) end as known_until
from ops.delivery as d
where d.state = 'loaded'
    or (
        d.state = 'withdrawn' and d.hold_reason is null and d.erased_at is null
        and exists (
            select 1 from ops.build_delivery as bd
            inner join ops.build as b on b.build_id = bd.build_id and b.state = 'succeeded'
            where bd.delivery_id = d.delivery_id and not bd.takes_out
        )
    );
comment on view ops.delivery_counted is
    'Deliveries whose values count, or did until known_until: what a release has shown stays in the history. A delivery '
    'withdrawn before any release showed it never counted. Of one that is held or erased nothing is built, not even its history.';

create or replace view ops.delivery_to_build as
select d.delivery_id, d.dataset_id, d.received_at, d.state <> 'loaded' as takes_out
from ops.delivery as d
left join lateral (
    -- what the last successful build that had to do with it left behind
    select not bd.takes_out as is_in, b.started_at
    from ops.build_delivery as bd
    inner join ops.build as b on b.build_id = bd.build_id and b.state = 'succeeded'
    where bd.delivery_id = d.delivery_id
    order by bd.build_id desc limit 1
) as built on true
where (d.state = 'loaded') <> coalesce(built.is_in, false)
    -- Its history goes as well, although its numbers were taken out before.
    or (d.erased_at is not null and built.started_at <= d.erased_at);
comment on view ops.delivery_to_build is
    'What the warehouse DAG asks: loaded deliveries no successful build has taken in yet, and published ones that no longer '
    'count, or were erased, and that no successful build has taken out yet.';

create or replace function ops.counted_at(moment timestamptz, state text, received_at timestamptz, state_at timestamptz)
returns boolean
language sql immutable
as $$
    select received_at < moment and (state in ('loaded', 'held') or (state = 'withdrawn' and state_at >= moment))
$$;
comment on function ops.counted_at is
    'Whether a delivery in this state had been received by then, was accepted and not withdrawn yet: the office has delivered, also '
    'where a build holds its file back.';
grant execute on function ops.counted_at(timestamptz, text, timestamptz, timestamptz) to teilhabe_transformer, teilhabe_steward;

create or replace function ops.delivery_calendar_at(day date)
returns table (
    dataset_id text, sender_code text, period_code text, reference_end date, due_on date, grace_until date,
    delivery_id bigint, delivered_on date, state text
)
language sql stable
as $$
    with handed_in as (
        -- Far fewer rows than deliveries, before each is taken apart into its periods.
        select l.dataset_id, l.sender_code, l.periods, min(l.received_at) as received_at
        from ops.delivery as l
        where ops.counted_at((day + 1)::timestamp at time zone ops.office_time_zone(), l.state, l.received_at, l.state_at)
        group by l.dataset_id, l.sender_code, l.periods
    ),
    arrived as (
        -- Every delivery counts for its dataset, and once more for its sender.
        select h.dataset_id, h.sender_code, grouping(h.sender_code) = 1 as is_any, p.period_code,
            min(h.received_at) as received_at
        from handed_in as h cross join lateral unnest(h.periods) as p (period_code)
        group by grouping sets ((h.dataset_id, h.sender_code, p.period_code), (h.dataset_id, p.period_code))
    )
    select c.dataset_id, c.sender_code, c.period_code, c.reference_end, c.due_on, c.grace_until,
        d.delivery_id, d.delivered_on,
        case
            when d.delivered_on > c.grace_until then 'late'
            when d.delivered_on is not null then 'delivered'
            when day < c.due_on then 'not_yet_due'
            when day <= c.grace_until then 'due'
            else 'overdue'
        end
    from ops.delivery_calendar as c
    left join arrived as a on a.dataset_id = c.dataset_id and a.period_code = c.period_code
        and coalesce(a.sender_code, '') = coalesce(c.sender_code, '') and a.is_any = (c.sender_code is null)
    left join lateral (
        select l.delivery_id, (l.received_at at time zone ops.office_time_zone())::date as delivered_on
        from ops.delivery as l
        where l.dataset_id = c.dataset_id and l.received_at = a.received_at
            and ops.counted_at((day + 1)::timestamp at time zone ops.office_time_zone(), l.state, l.received_at, l.state_at)
            and c.period_code = any(l.periods) and (c.sender_code is null or l.sender_code = c.sender_code)
        order by l.delivery_id limit 1
    ) as d on true
$$;
comment on function ops.delivery_calendar_at is
    'The calendar as it stood on a day: delivered (in time), late (after grace), due, overdue, not_yet_due.';

create or replace view ops.delivery_due as
select * from ops.delivery_calendar_at((now() at time zone ops.office_time_zone())::date);
comment on view ops.delivery_due is 'The calendar as it stands today.';
-- Functions are nobody's but their owner's, and a view asks for the rights of whoever reads it.
grant execute on function ops.delivery_calendar_at(date) to teilhabe_transformer, teilhabe_steward;

create or replace function ops.delivery_timeliness_at(day date)
returns table (
    dataset_id text, sender_code text, period_code text, reference_end date, due_on date, grace_until date,
    delivery_id bigint, delivered_on date, state text, is_early boolean, is_double boolean, unasked_count bigint
)
language sql stable
as $$
    with delivered as (
        -- A file counts for the last period the calendar asks for: those before it are repeated, not sent a second time.
        select distinct on (d.delivery_id, c.sender_code)
            d.delivery_id, c.dataset_id, c.sender_code, c.period_code, d.received_at,
            coalesce(d.container_id, d.delivery_id) as handed_in_as
        from ops.delivery as d
        cross join lateral unnest(d.periods) as p (period_code)
        inner join ops.delivery_calendar as c on c.dataset_id = d.dataset_id and c.period_code = p.period_code
            and (c.sender_code is null or c.sender_code = d.sender_code)
        where ops.counted_at((day + 1)::timestamp at time zone ops.office_time_zone(), d.state, d.received_at, d.state_at)
        order by d.delivery_id, c.sender_code, c.reference_end desc, c.period_code
    ),
    numbered as (
        select *,
            first_value(handed_in_as) over in_order as first_handed_in_as,
            first_value(received_at) over in_order as first_received_at
        from delivered
        window in_order as (partition by dataset_id, sender_code, period_code order by received_at, delivery_id)
    ),
    unasked as (
        select n.dataset_id, n.sender_code, n.period_code, count(*) as unasked_count
        from numbered as n
        where n.handed_in_as <> n.first_handed_in_as and n.received_at > n.first_received_at
            and not exists (
                select from ops.incident_event as e where e.delivery_id = n.delivery_id and e.action in ('fixed', 'seen')
            )
        group by n.dataset_id, n.sender_code, n.period_code
    )
    select c.dataset_id, c.sender_code, c.period_code, c.reference_end, c.due_on, c.grace_until, c.delivery_id,
        c.delivered_on, c.state,
        coalesce(c.delivered_on <= c.reference_end + (c.due_on - c.reference_end) / 10, false),
        coalesce(u.unasked_count, 0) > 0,
        coalesce(u.unasked_count, 0)
    from ops.delivery_calendar_at(day) as c
    left join unasked as u on u.dataset_id = c.dataset_id and u.period_code = c.period_code
        and u.sender_code is not distinct from c.sender_code
$$;
comment on function ops.delivery_timeliness_at is
    'The calendar as it stood on a day with two notes. is_early: handed in before the period had ended or within the first tenth '
    'of the time until it was due; such a file is seldom complete. is_double: the period was handed in again with other content '
    'although no incident asked for it (unasked_count: how often).';
create or replace view ops.delivery_timeliness as
select * from ops.delivery_timeliness_at((now() at time zone ops.office_time_zone())::date);
comment on view ops.delivery_timeliness is 'The calendar with its notes as it stands today.';
grant execute on function ops.delivery_timeliness_at(date) to teilhabe_transformer, teilhabe_steward;
