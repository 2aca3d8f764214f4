-- A key of the baseline is valid once at a time.
{% set query %}
select
    baseline.territory_code,
    'The baseline says ' || baseline.territory_code || ' (' || baseline.territory_name || ') ends on ' || baseline.valid_to
    || ', before it begins on ' || baseline.valid_from || '.' as sentence
from {{ ref('territories') }} as baseline
where baseline.valid_to < baseline.valid_from
union all
select
    earlier.territory_code,
    'The baseline has ' || earlier.territory_code || ' (' || earlier.territory_name || ') twice from '
    || coalesce(greatest(earlier.valid_from, later.valid_from)::text, 'the beginning') || ' to '
    || coalesce(least(earlier.valid_to, later.valid_to)::text, 'now') || '.'
from {{ ref('territories') }} as earlier
inner join {{ ref('territories') }} as later
    on
        earlier.territory_code = later.territory_code
        and earlier.ctid < later.ctid
        and coalesce(earlier.valid_from, date '0001-01-01') <= coalesce(later.valid_to, date '9999-12-31')
        and coalesce(later.valid_from, date '0001-01-01') <= coalesce(earlier.valid_to, date '9999-12-31')
{% endset %}
{{ refuse_with_sentences(query) }}
