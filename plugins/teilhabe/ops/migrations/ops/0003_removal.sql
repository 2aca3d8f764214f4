-- What is no longer kept of a delivery, which backups were made, and polls that found nothing in one row.

alter table ops.delivery add column erased_at timestamptz;
comment on column ops.delivery.erased_at is
    'When somebody erased it: nothing of it is left but this row without names, see ops.tombstone. It counts as if it never had.';
create index delivery_by_bytes on ops.delivery (sha256);

create table ops.tombstone (
    delivery_id bigint primary key references ops.delivery (delivery_id),
    kind text not null check (kind in ('persons', 'expired', 'erased')),
    dataset_id text not null,
    sha256 text not null,
    size_bytes bigint not null,
    at timestamptz not null,
    actor text not null,
    reason text not null,
    removed_at timestamptz
);
create index tombstone_to_remove on ops.tombstone (delivery_id) where removed_at is null;
comment on table ops.tombstone is
    'Deliveries whose bytes are not kept. Written together with what says so; the bytes go afterwards, and again after a crash.';
comment on column ops.tombstone.kind is
    'persons: refused, because it is about single persons. expired: its time is over, see retention.yml. erased: somebody erased it.';
comment on column ops.tombstone.actor is 'Name of the account; teilhabe where a rule decided.';
comment on column ops.tombstone.removed_at is
    'When its bytes were gone from the archive, unless another delivery of the same bytes needs them; null: not yet.';

create table ops.backup (
    backup_id bigint generated always as identity primary key,
    place text not null,
    set_name text not null,
    taken_at timestamptz not null,
    unique (place, set_name)
);
comment on table ops.backup is 'Backups that were made: whoever erases something has to know where else it is.';

alter table ops.desk_act drop constraint desk_act_action_check;
alter table ops.desk_act add constraint desk_act_action_check check (
    action in ('uploaded', 'downloaded', 'withdrawn', 'accepted_without_rows', 'rejected', 'erased')
);
comment on column ops.desk_act.note is 'Of a withdrawal, an erasure or a decision: why.';

alter table ops.outcome add column times integer not null default 1;
create index outcome_of_polls on ops.outcome (dataset_id, outcome_id) where step = 'fetch';
comment on table ops.outcome is
    'One row per step that ran, successful or not; polls of a day that found nothing, one after the other, share a row.';
comment on column ops.outcome.times is 'How many polls the row stands for, from started_at to finished_at.';
