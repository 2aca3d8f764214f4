-- What the desk writes down, and what its pages need to find things fast. Idempotent, after incidents.sql.

create table if not exists ops.desk_act (
    act_id bigint generated always as identity primary key,
    at timestamptz not null,
    actor text not null,
    action text not null
        constraint desk_act_action_check check (action in ('uploaded', 'downloaded', 'withdrawn', 'accepted_without_rows', 'rejected')),
    dataset_id text not null,
    sender_code text,
    period_code text,
    delivery_id bigint references ops.delivery (delivery_id),
    file_name text not null,
    size_bytes bigint not null,
    sha256 text not null,
    arrival text,
    note text
);
-- What installations made before withdrawals lack.
alter table ops.desk_act add column if not exists note text;
do $$
begin
    if not exists (
        select 1 from pg_constraint
        where conrelid = 'ops.desk_act'::regclass and conname = 'desk_act_action_check'
            and pg_get_constraintdef(oid) like '%rejected%'
    ) then
        alter table ops.desk_act drop constraint desk_act_action_check;
        alter table ops.desk_act add constraint desk_act_action_check
            check (action in ('uploaded', 'downloaded', 'withdrawn', 'accepted_without_rows', 'rejected'));
    end if;
end
$$;
create index if not exists desk_act_by_dataset on ops.desk_act (dataset_id, at);
comment on table ops.desk_act is
    'Who handed in, took out, withdrew or decided about which file, at the desk or on the command line. Append-only; what was done to incidents '
    'is in ops.incident_event.';
comment on column ops.desk_act.actor is 'Name of the account.';
comment on column ops.desk_act.note is 'Of a withdrawal or a decision: why.';
comment on column ops.desk_act.period_code is 'The period the file was meant for, where the page it came from says so.';
comment on column ops.desk_act.delivery_id is 'The delivery taken out, withdrawn or decided about, or the one the file replaces.';
comment on column ops.desk_act.arrival is 'Of an upload: what the delivery that becomes of it has as source_fingerprint.';

create index if not exists delivery_by_arrival on ops.delivery (source_fingerprint) where source_fingerprint is not null;
create index if not exists delivery_by_arrival_time on ops.delivery (received_at desc, delivery_id desc);
create index if not exists message_by_time on ops.message (composed_at desc, message_id desc);
create index if not exists message_delivery_by_delivery on ops.message_delivery (delivery_id);
create index if not exists message_incident_by_incident on ops.message_incident (incident_id);
-- The matrix looks up the first and the latest file of each period, with and without regard to the sender.
create index if not exists delivery_by_period on ops.delivery (dataset_id, state, (periods[1]), received_at, delivery_id)
    where cardinality(periods) = 1;
create index if not exists delivery_by_sender_period
    on ops.delivery (dataset_id, sender_code, state, (periods[1]), received_at, delivery_id)
    where cardinality(periods) = 1 and sender_code is not null;
create index if not exists delivery_of_several_periods on ops.delivery (dataset_id)
    where coalesce(cardinality(periods), 0) <> 1 and state in ('loaded', 'quarantined');
create index if not exists delivery_of_demo on ops.delivery (delivery_id) where is_demo;
