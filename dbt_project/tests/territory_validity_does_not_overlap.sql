-- A key is valid once at a time, and on every day exactly one row of dim_territory answers for it.
select
    baseline.territory_code,
    'The baseline says ' || baseline.territory_code || ' (' || baseline.territory_name || ') ends on ' || baseline.valid_to
    || ', before it begins on ' || baseline.valid_from || '.' as message
from {{ ref('territories') }} as baseline
where baseline.valid_to < baseline.valid_from
union all
select
    first.territory_code,
    first.territory_code || ' (' || first.territory_name || ') is valid twice from ' || greatest(first.valid_from, second.valid_from)
    || ' to ' || coalesce(least(first.valid_to, second.valid_to)::text, 'now') || ' in the baseline.'
from {{ ref('territories') }} as first
inner join {{ ref('territories') }} as second
    on
        first.territory_code = second.territory_code
        and first.ctid < second.ctid
        and coalesce(first.valid_from, date '1900-01-01') <= coalesce(second.valid_to, date '9999-12-31')
        and coalesce(second.valid_from, date '1900-01-01') <= coalesce(first.valid_to, date '9999-12-31')
union all
select
    territory_code,
    territory_code || ' (' || territory_name || ') has no or several rows for the days between ' || covers_to || ' and '
    || coalesce(next_covers_from::text, 'the end of time') || '.'
from (
    select
        territory_code,
        territory_name,
        covers_to,
        valid_from,
        valid_to,
        lead(covers_from) over (partition by territory_code order by covers_from, valid_from) as next_covers_from
    from {{ ref('dim_territory') }}
) as spans
where
    coalesce(next_covers_from, date '9999-12-31' + 1) <> covers_to + 1
    or valid_to > covers_to
