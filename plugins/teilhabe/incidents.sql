-- What went wrong and who was told: incidents, their history, and the messages to the offices. Idempotent, after ops.sql.

alter table ops.delivery add column if not exists followed_at timestamptz;
comment on column ops.delivery.followed_at is
    'When incidents and messages took notice of the verdict; null: not yet. Set in the transaction that writes them.';
drop index if exists ops.delivery_to_follow;
create index if not exists delivery_to_follow_up on ops.delivery (delivery_id)
    where followed_at is null and state in ('loaded', 'quarantined', 'duplicate');

create table if not exists ops.incident (
    incident_id bigint generated always as identity primary key,
    dataset_id text not null,
    sender_code text,
    period_code text,
    rule text not null,
    cause_id bigint references ops.incident (incident_id),
    severity text not null check (severity in ('critical', 'warning')),
    state text not null default 'open' check (state in ('open', 'acknowledged', 'reopened', 'waived', 'fixed')),
    message text not null,
    row_count bigint not null default 1,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    times_seen integer not null default 1,
    delivery_id bigint references ops.delivery (delivery_id),
    due_on date,
    waived_by text,
    waived_reason text,
    waived_until date,
    closed_at timestamptz,
    unique nulls not distinct (dataset_id, sender_code, period_code, rule),
    check ((state = 'waived') = (waived_by is not null and waived_reason is not null and waived_until is not null)),
    check ((state = 'fixed') = (closed_at is not null))
);
create index if not exists incident_by_state on ops.incident (state, dataset_id);
create index if not exists incident_by_delivery on ops.incident (delivery_id);
comment on table ops.incident is
    'One row per dataset, sender, period and rule, however often it recurs. Current state; history is ops.incident_event.';
comment on column ops.incident.sender_code is 'The municipality that owes the data; null: the office of the contract.';
comment on column ops.incident.period_code is 'The period the file is about; null where nothing tells it.';
comment on column ops.incident.rule is 'As in ops.finding, or calendar.overdue, calendar.silent: nothing came.';
comment on column ops.incident.cause_id is 'The incident this one follows from; told and closed together with it.';
comment on column ops.incident.state is
    'open: nobody looked yet. acknowledged: somebody is on it. reopened: was fixed or waived and came back. waived: accepted as '
    'it is until waived_until. fixed: a later delivery is clean, or what was missing has come.';
comment on column ops.incident.delivery_id is 'The last delivery that showed it; its evidence is ops.finding of this delivery and rule.';
comment on column ops.incident.due_on is 'The day by which the office is asked to mend it.';

create table if not exists ops.incident_event (
    event_id bigint generated always as identity primary key,
    incident_id bigint not null references ops.incident (incident_id),
    at timestamptz not null,
    actor text not null,
    action text not null check (
        action in ('opened', 'seen', 'acknowledged', 'noted', 'waived', 'waiver_ended', 'fixed', 'reopened')
    ),
    from_state text,
    to_state text not null,
    note text,
    delivery_id bigint references ops.delivery (delivery_id)
);
create index if not exists incident_event_by_incident on ops.incident_event (incident_id, event_id);
comment on table ops.incident_event is 'Everything that happened to an incident. Append-only.';
comment on column ops.incident_event.actor is 'Name of the account, or pipeline.';

create table if not exists ops.message (
    message_id bigint generated always as identity primary key,
    kind text not null,
    dedup_key text not null unique,
    dataset_id text,
    sender_code text,
    period_code text,
    channel text not null check (channel in ('smtp', 'webhook', 'drop')),
    recipient text,
    subject text not null,
    body_text text not null,
    body_html text not null,
    attachments jsonb not null default '[]',
    state text not null default 'waiting' check (state in ('waiting', 'sending', 'sent', 'uncertain', 'failed', 'undeliverable')),
    composed_at timestamptz not null,
    not_before timestamptz not null,
    attempts integer not null default 0,
    last_error text,
    sent_at timestamptz,
    reference text
);
do $$
begin
    if not exists (
        select 1 from pg_constraint
        where conrelid = 'ops.message'::regclass and conname = 'message_kind_check'
            and pg_get_constraintdef(oid) like '%repeat%'
    ) then
        alter table ops.message drop constraint if exists message_kind_check;
        alter table ops.message add constraint message_kind_check check (kind in (
            'verdict', 'repeat', 'receipt', 'reminder', 'overdue', 'escalation', 'closing', 'operators'
        ));
    end if;
end
$$;
create index if not exists message_to_send on ops.message (not_before) where state in ('waiting', 'sending');
comment on table ops.message is 'Every message to an office or the operators: composed once (dedup_key), sent once.';
comment on column ops.message.state is
    'waiting: to be sent from not_before on. sending: handed to the channel, not confirmed. sent: confirmed. uncertain: the process '
    'ended between sending and recording; never sent again by itself. failed: given up after the last attempt. undeliverable: '
    'nobody to send it to.';
comment on column ops.message.attachments is 'Names and archive addresses: [{"name": ..., "uri": ..., "media_type": ...}].';
comment on column ops.message.reference is 'Message-ID of the mail, name of the dropped file, or idempotency key of the webhook.';

create table if not exists ops.message_delivery (
    message_id bigint not null references ops.message (message_id) on delete cascade,
    delivery_id bigint not null references ops.delivery (delivery_id),
    primary key (message_id, delivery_id)
);
create table if not exists ops.message_incident (
    message_id bigint not null references ops.message (message_id) on delete cascade,
    incident_id bigint not null references ops.incident (incident_id),
    primary key (message_id, incident_id)
);
create index if not exists message_by_delivery on ops.message_delivery (delivery_id);
create index if not exists message_by_incident on ops.message_incident (incident_id);
comment on table ops.message_delivery is 'Which deliveries a message speaks of.';
comment on table ops.message_incident is 'Which incidents a message speaks of.';

create table if not exists ops.follow_up (
    only_row boolean primary key default true check (only_row),
    since date not null
);
comment on table ops.follow_up is
    'From which day on the calendar is followed up: nobody is reminded of what was due before the installation.';
insert into ops.follow_up (since) values ((now() at time zone ops.office_time_zone())::date) on conflict do nothing;

create table if not exists ops.approval (
    delivery_id bigint primary key references ops.delivery (delivery_id),
    asked_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    run_id text,
    answer text
        constraint approval_answer_check check (answer in ('publish', 'refuse', 'accept_without_rows', 'reject')),
    answered_by text,
    answered_at timestamptz,
    reason text,
    check (num_nulls(answer, answered_by, answered_at) in (0, 3))
);
-- What installations made before decisions about refused deliveries lack.
alter table ops.approval add column if not exists reason text;
do $$
begin
    if not exists (
        select 1 from pg_constraint
        where conrelid = 'ops.approval'::regclass and conname = 'approval_answer_check'
            and pg_get_constraintdef(oid) like '%reject%'
    ) then
        alter table ops.approval drop constraint if exists approval_answer_check;
        alter table ops.approval add constraint approval_answer_check
            check (answer in ('publish', 'refuse', 'accept_without_rows', 'reject'));
    end if;
end
$$;
comment on table ops.approval is
    'What a person says about a delivery: whether one with warnings is loaded, where its contract wants somebody asked (it waits as '
    'validated until then), and whether one refused for faults of single rows is loaded without these.';
comment on column ops.approval.answer is
    'publish, refuse: about warnings. accept_without_rows: loaded without the rows of ops.excluded_row. reject: stays refused.';
comment on column ops.approval.reason is 'Why, where a refused delivery was decided about.';
comment on column ops.approval.expires_at is 'Without an answer it is loaded from then on.';
comment on column ops.approval.run_id is 'The Airflow run that asks; null: nobody has been asked yet.';
comment on column ops.approval.answered_by is 'Name of the account; teilhabe where nobody answered in time.';

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
