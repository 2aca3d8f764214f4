-- A file over the limit of size is recorded and refused, but neither read nor kept.
alter table ops.delivery alter column archive_uri drop not null;
comment on column ops.delivery.archive_uri is 'Where the bytes are kept. Null: they are not, and sha256 is that of what identified '
    'the file at its source where it was never read (file.too_large).';
