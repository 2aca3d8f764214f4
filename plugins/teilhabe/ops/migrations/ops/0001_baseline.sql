-- Every fetch, reading, validation, load and build, incidents and messages, and what the desk writes down.
-- Idempotent, unlike later migrations: installations made before there were any begin here, whatever they lack of it.

create table if not exists ops.schema_version (
    part text not null check (part in ('ops', 'marts')),
    number integer not null check (number > 0),
    name text not null,
    applied_at timestamptz not null default now(),
    code_version text not null,
    primary key (part, number)
);
comment on table ops.schema_version is
    'One row per migration (plugins/teilhabe/migrations) the database has been through; the highest number is its version.';
comment on column ops.schema_version.part is 'ops: what the loader owns. marts: what releases keep of themselves.';
comment on column ops.schema_version.code_version is 'The release of teilhabe that applied it.';
-- Tables of marts belong to the transformer, so it applies their migrations.
grant insert on ops.schema_version to teilhabe_transformer;

create table if not exists ops.installed (
    only_row boolean primary key default true check (only_row),
    scripts_digest text not null,
    installed_at timestamptz not null default now()
);
comment on table ops.installed is 'Which scripts made the tables of ops last: the same ones have nothing to do.';

create table if not exists ops.delivery (
    delivery_id bigint generated always as identity primary key,
    dataset_id text not null,
    file_name text not null,
    sha256 text not null check (length(sha256) = 64),
    size_bytes bigint not null check (size_bytes >= 0),
    received_at timestamptz not null,
    received_from text,
    source text not null,
    source_fingerprint text,
    period_stated text,
    archive_uri text not null,
    manifest_uri text not null unique,
    state text not null default 'received'
        constraint delivery_state_check
        check (
            state in (
                'received', 'validated', 'loaded', 'quarantined', 'duplicate', 'failed', 'unpacked', 'withdrawn', 'held'
            )
        ),
    state_at timestamptz not null default now(),
    duplicate_of bigint references ops.delivery (delivery_id),
    rules_version text,
    layout text,
    period_inferred text,
    periods text[],
    row_count bigint,
    loaded_at timestamptz,
    sender_code text,
    container_id bigint references ops.delivery (delivery_id)
);
-- What installations made before senders and containers lack.
alter table ops.delivery add column if not exists sender_code text;
alter table ops.delivery add column if not exists container_id bigint references ops.delivery (delivery_id);
alter table ops.delivery add column if not exists by_own_clock boolean not null default false;
alter table ops.delivery add column if not exists withdrawal_reason text;
alter table ops.delivery add column if not exists attempts integer not null default 0;
alter table ops.delivery add column if not exists is_demo boolean not null
    generated always as (coalesce(received_from ilike '%@demo.teilhabe.example%', false)) stored;
do $$
begin
    if not exists (
        select 1 from pg_constraint
        where conrelid = 'ops.delivery'::regclass and conname = 'delivery_state_check'
            and pg_get_constraintdef(oid) like '%withdrawn%' and pg_get_constraintdef(oid) like '%held%'
    ) then
        alter table ops.delivery drop constraint delivery_state_check;
        alter table ops.delivery add constraint delivery_state_check check (
            state in (
                'received', 'validated', 'loaded', 'quarantined', 'duplicate', 'failed', 'unpacked', 'withdrawn', 'held'
            )
        );
    end if;
end
$$;
drop index if exists ops.delivery_bytes_once;
create unique index if not exists delivery_of_sender_once
    on ops.delivery (dataset_id, sha256, coalesce(sender_code, ''), coalesce(period_stated, ''))
    where state in ('received', 'validated');
create index if not exists delivery_by_dataset on ops.delivery (dataset_id, state);
create index if not exists delivery_by_receipt on ops.delivery (dataset_id, received_at, delivery_id);
create index if not exists delivery_by_container on ops.delivery (container_id) where container_id is not null;
comment on table ops.delivery is 'One row per file that arrived: what, when, from whom, and what became of it.';
comment on column ops.delivery.state is
    'received: archived, not yet judged. validated: accepted, not yet in raw. loaded: in raw. quarantined: refused, nothing of it in raw. '
    'duplicate: same bytes as duplicate_of, nothing ran on. failed: our own error, worth another run. '
    'unpacked: a container whose files are deliveries of their own, see container_id. '
    'withdrawn: it was loaded and counted until state_at; a person took it back. '
    'held: it is in raw but no build can take it in; it does not count.';
comment on column ops.delivery.sender_code is 'The municipality that sent it, where the contract names senders.';
comment on column ops.delivery.container_id is 'The delivery (a zip) this file came in.';
comment on column ops.delivery.is_demo is 'Handed in by the demo, from an address at demo.teilhabe.example: made-up numbers.';
comment on column ops.delivery.received_at is 'When the office handed it in; the known_from of every value in it.';
comment on column ops.delivery.by_own_clock is
    'received_at is what the clock of this installation said; such times only go forward within a dataset.';
comment on column ops.delivery.attempts is
    'How often a process began to judge or load it and did not come to an end of its own; three times, and it is refused.';
comment on column ops.delivery.withdrawal_reason is 'Why it was withdrawn, in the words of who did it; when: state_at; who: ops.desk_act.';
comment on column ops.delivery.periods is 'Every period code found in the file, sorted.';
comment on column ops.delivery.rules_version is 'Fingerprint of contract and suite the verdict rests on; refused bytes are judged again only under new rules.';

create table if not exists ops.outcome (
    outcome_id bigint generated always as identity primary key,
    step text not null
        constraint outcome_step_check
        check (step in ('fetch', 'archive', 'read', 'validate', 'load', 'build', 'publish')),
    status text not null check (status in ('ok', 'refused', 'duplicate', 'failed')),
    dataset_id text,
    delivery_id bigint references ops.delivery (delivery_id),
    run_id text,
    started_at timestamptz not null,
    finished_at timestamptz not null default clock_timestamp(),
    row_count bigint,
    message text
);
do $$
begin
    if not exists (
        select 1 from pg_constraint
        where conrelid = 'ops.outcome'::regclass and conname = 'outcome_step_check'
            and pg_get_constraintdef(oid) like '%publish%'
    ) then
        alter table ops.outcome drop constraint outcome_step_check;
        alter table ops.outcome add constraint outcome_step_check check (
            step in ('fetch', 'archive', 'read', 'validate', 'load', 'build', 'publish')
        );
    end if;
end
$$;
create index if not exists outcome_by_delivery on ops.outcome (delivery_id);
comment on table ops.outcome is 'One row per step that ran, successful or not. Append-only.';

create table if not exists ops.finding (
    finding_id bigint generated always as identity primary key,
    delivery_id bigint not null references ops.delivery (delivery_id),
    severity text not null check (severity in ('critical', 'warning', 'info')),
    rule text not null,
    message text not null,
    sheet text,
    row_number bigint,
    column_name text,
    found text,
    expected text,
    row_count bigint not null default 1,
    found_at timestamptz not null default now()
);
alter table ops.finding add column if not exists what text;
create index if not exists finding_by_delivery on ops.finding (delivery_id);
comment on table ops.finding is 'The verdict in sentences: one row per delivery and rule that was broken.';
comment on column ops.finding.message is 'The whole sentence, without numbers the contract keeps secret.';
comment on column ops.finding.what is
    'The sentence with {place}, {subject}, {found} and {expected} where these parts belong; they may be secret. Null: message is all.';
comment on column ops.finding.row_count is 'Affected rows of the file, each counted once; of a finding that names no row, its places.';

create table if not exists ops.evidence (
    finding_id bigint not null references ops.finding (finding_id) on delete cascade,
    position integer not null,
    row_number bigint,
    column_name text,
    found text,
    primary key (finding_id, position)
);
alter table ops.evidence add column if not exists expected text;
alter table ops.evidence add column if not exists column_number integer;
alter table ops.evidence add column if not exists sheet text;
alter table ops.evidence add column if not exists subject text;
comment on column ops.evidence.expected is 'What was expected in this place; null: what the finding says.';
comment on column ops.evidence.sheet is 'The sheet of a workbook; null: that of the finding, or the file has none.';
comment on column ops.evidence.subject is 'What the number is about: territory, period and group, or a field of a form.';
comment on table ops.evidence is 'The rows behind a finding, at most 100,000 in a delivery; row_count of the finding is complete.';

alter table ops.finding add column if not exists held_back boolean not null default false;
comment on column ops.finding.held_back is
    'The rows at fault were left out (ops.excluded_row) and the others loaded: it stops nothing, whatever its severity.';

alter table ops.delivery add column if not exists held_back_count bigint not null default 0;
comment on column ops.delivery.held_back_count is
    'Rows that were left out because of faults; row_count counts the others. Of a refused delivery: without how many of the rows '
    'counted it could be loaded, if somebody decides so (ops.approval).';

alter table ops.delivery add column if not exists names_resolved jsonb;
comment on column ops.delivery.names_resolved is
    'Keys that were taken from the register for names without a readable key; kept so that every later reading agrees.';

create table if not exists ops.excluded_row (
    delivery_id bigint not null references ops.delivery (delivery_id),
    position integer not null,
    sheet text,
    row_number bigint not null,
    column_number integer,
    rule text not null,
    reason text not null,
    found text,
    content jsonb,
    primary key (delivery_id, position)
);
comment on table ops.excluded_row is
    'Rows of a delivery that are not loaded because of a fault, while the others are: those of a published table nobody will mend, and '
    'those a person decided to do without (ops.approval).';
comment on column ops.excluded_row.column_number is
    'The number of the row that is left out, by the column it stands in; null: the whole row, which could not be read at all.';
comment on column ops.excluded_row.reason is 'What is wrong with the row, as a part of a German sentence.';
comment on column ops.excluded_row.content is 'The row as it was read, by the columns of the contract; null where it could not be.';

create table if not exists ops.build (
    build_id bigint generated always as identity primary key,
    run_id text,
    state text not null default 'running' check (state in ('running', 'succeeded', 'failed')),
    code_version text not null,
    is_full boolean not null,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    message text
);
-- What installations made before deliveries could be held lack.
alter table ops.delivery add column if not exists hold_reason text;
alter table ops.delivery add column if not exists held_in_build bigint references ops.build (build_id);
comment on column ops.delivery.hold_reason is 'Why a build could not take it in; also of one withdrawn since: its rows never count.';
comment on column ops.delivery.held_in_build is 'The build that held it back.';
create table if not exists ops.build_delivery (
    build_id bigint not null references ops.build (build_id),
    delivery_id bigint not null references ops.delivery (delivery_id),
    primary key (build_id, delivery_id)
);
comment on table ops.build is 'One row per warehouse build; it has succeeded when it is published, see marts.release.';
comment on column ops.build.is_full is 'Everything was computed anew, because the code had changed or somebody asked for it.';
comment on table ops.build_delivery is 'Which loaded deliveries a build took in for the first time.';

alter table ops.build_delivery add column if not exists takes_out boolean not null default false;
comment on column ops.build_delivery.takes_out is
    'The delivery had been published and no longer counts: the build lets the deliveries before it count again.';

create table if not exists ops.delivery_calendar (
    dataset_id text not null,
    sender_code text,
    period_code text not null,
    reference_end date not null,
    due_on date not null,
    grace_until date not null,
    unique nulls not distinct (dataset_id, sender_code, period_code)
);
comment on table ops.delivery_calendar is 'What is due when: one row per dataset, sender and period, derived from the contracts.';
comment on column ops.delivery_calendar.sender_code is 'The municipality that owes it, where the contract names senders.';

create table if not exists ops.dataset (
    dataset_id text primary key,
    agency_code text not null,
    office_name text not null,
    title_de text not null,
    purpose_en text not null,
    limitations_en text not null,
    contract_version text not null,
    contract_status text not null,
    licence text not null,
    licence_url text not null,
    attribution text not null,
    frequency text not null,
    reference text not null,
    first_period_code text not null,
    lag_days integer not null,
    grace_days integer not null,
    secrecy_method text not null,
    symbol_regime text not null,
    territory_levels text[] not null,
    layouts text[] not null,
    is_active boolean not null
);
alter table ops.dataset add column if not exists number_deviation numeric;
comment on table ops.dataset is
    'One row per dataset that has or had a contract, as the contract last said. Written before each build.';
comment on column ops.dataset.number_deviation is
    'How far one published number may lie from the true one under the secrecy method: the tolerance of sums follows from it.';
comment on column ops.dataset.is_active is 'There is a contract. Without one the row stays: its deliveries still count.';

-- What went wrong and who was told: incidents, their history, and the messages to the offices.

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

-- What the desk writes down, and what its pages need to find things fast.

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
