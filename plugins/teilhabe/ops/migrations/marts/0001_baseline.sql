-- What a release leaves behind of itself. Idempotent, unlike later migrations: installations made before there were any begin here.

create table if not exists marts.release (
    release_id bigint generated always as identity primary key,
    published_at timestamptz not null,
    build_id bigint not null,
    code_version text not null,
    territorial_state date not null,
    deliveries_count bigint not null,
    latest_known_from timestamptz,
    inputs_digest text not null,
    rows_added bigint not null,
    rows_removed bigint not null
);
comment on table marts.release is
    'One row per release: what readers saw from then on. Numbers may be missing, where publishing failed. '
    '| Eine Zeile je Veröffentlichung: was Lesende von da an sahen. Nummern können fehlen, wo ein Versuch scheiterte.';
comment on column marts.release.release_id is
    'Number of the release; later ones are higher. | Nummer der Veröffentlichung; spätere sind höher.';
comment on column marts.release.published_at is 'When it was published. | Zeitpunkt der Veröffentlichung.';
comment on column marts.release.build_id is
    'Build of the warehouse it comes from (ops.build). | Lauf des Warehouse, aus dem sie stammt (ops.build).';
comment on column marts.release.code_version is
    'Version of the software that computed it. | Softwarestand, der sie berechnet hat.';
comment on column marts.release.territorial_state is
    'Day on whose territories converted series stand. | Tag, auf dessen Gebietsstand umgerechnete Reihen stehen.';
comment on column marts.release.deliveries_count is
    'Accepted deliveries it rests on. | Angenommene Lieferungen, auf denen sie beruht.';
comment on column marts.release.latest_known_from is
    'Arrival of the latest of them. | Eingang der jüngsten davon.';
comment on column marts.release.inputs_digest is
    'SHA-256 over dataset, arrival and file hash of these deliveries: the same inputs give the same digest. '
    '| SHA-256 über Datensatz, Eingang und Prüfsumme dieser Lieferungen: gleiche Eingaben, gleicher Wert.';
comment on column marts.release.rows_added is
    'Rows that are new or changed. | Zeilen, die neu oder geändert sind.';
comment on column marts.release.rows_removed is
    'Rows that are gone or changed. | Zeilen, die entfallen oder geändert sind.';

create table if not exists marts.release_table (
    release_id bigint not null references marts.release (release_id),
    relation_name text not null,
    rows_added bigint not null,
    rows_removed bigint not null,
    primary key (release_id, relation_name)
);
comment on table marts.release_table is
    'One row per release and table or view of it. | Eine Zeile je Veröffentlichung und Tabelle oder Sicht darin.';
comment on column marts.release_table.release_id is 'The release. | Die Veröffentlichung.';
comment on column marts.release_table.relation_name is 'Table or view in marts. | Tabelle oder Sicht in marts.';
comment on column marts.release_table.rows_added is
    'Rows that are new or changed; 0 for a view. | Zeilen, die neu oder geändert sind; 0 bei einer Sicht.';
comment on column marts.release_table.rows_removed is
    'Rows that are gone or changed; 0 for a view. | Zeilen, die entfallen oder geändert sind; 0 bei einer Sicht.';

-- Which partitions of the facts are published, and from what they were made: intermediate.build_state at the last release.
create table if not exists intermediate.release_state (
    model text not null,
    part_code text not null,
    period_code text not null,
    digest text not null,
    primary key (model, part_code, period_code)
);
