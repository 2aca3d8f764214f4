-- A key is valid once at a time, and for every day one of its rows answers.
{% set query %}
select
    territory_code,
    territory_code || ' (' || territory_name || ') has none or several rows for the days around ' || covers_from || '.' as sentence
from (
    select
        territory_code,
        territory_name,
        valid_from,
        valid_to,
        covers_from,
        covers_to,
        lag(covers_to, 1, date '0001-01-01' - 1) over of_code as covered_to,
        lead(covers_from, 1, date '9999-12-31' + 1) over of_code as next_from
    from {{ ref('dim_territory') }}
    window of_code as (partition by territory_code order by covers_from, valid_from)
) as spans
where
    covers_from <> covered_to + 1 or covers_to <> next_from - 1
    or valid_from < covers_from or coalesce(valid_to, date '9999-12-31') > covers_to
{% endset %}
{{ refuse_with_sentences(query) }}
