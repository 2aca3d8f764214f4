-- Operational record of every fetch, reading, validation, load and build. Idempotent: runs at every `teilhabe init`.

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

create or replace view ops.delivery_counted as
select d.delivery_id, d.dataset_id, d.received_at as known_from,
    case when d.state <> 'loaded' then greatest(d.state_at, d.received_at) end as known_until
from ops.delivery as d
where d.state = 'loaded'
    or (
        d.state = 'withdrawn' and d.hold_reason is null
        and exists (
            select 1 from ops.build_delivery as bd
            inner join ops.build as b on b.build_id = bd.build_id and b.state = 'succeeded'
            where bd.delivery_id = d.delivery_id and not bd.takes_out
        )
    );
comment on view ops.delivery_counted is
    'Deliveries whose values count, or did until known_until: what a release has shown stays in the history. A delivery '
    'withdrawn before any release showed it never counted. Of one that is held nothing is built, not even its history.';

create or replace view ops.delivery_to_build as
select d.delivery_id, d.dataset_id, d.received_at, d.state <> 'loaded' as takes_out
from ops.delivery as d
left join lateral (
    -- what the last successful build that had to do with it left behind
    select not bd.takes_out as is_in
    from ops.build_delivery as bd
    inner join ops.build as b on b.build_id = bd.build_id and b.state = 'succeeded'
    where bd.delivery_id = d.delivery_id
    order by bd.build_id desc limit 1
) as built on true
where (d.state = 'loaded') <> coalesce(built.is_in, false);
comment on view ops.delivery_to_build is
    'What the warehouse DAG asks: loaded deliveries no successful build has taken in yet, and published ones that no longer '
    'count and that no successful build has taken out yet.';

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
