{{ config(
    materialized='table',
    unlogged=true,
    post_hook='analyze {{ this }}',
    indexes=[{'columns': ['territory_code']}],
) }}

-- One row per unit and span in which name, kind and extent stayed the same. A list of changes names the day of a new name; an
-- edition of the register that shows another name or kind than the one before names the day it is known from.
with editions as (
    select
        territory_code,
        edition_date,
        territory_name,
        text_code,
        lag(edition_date) over of_code as edition_before,
        lag(territory_name) over of_code as name_before,
        lag(text_code) over of_code as text_code_before
    from {{ ref('int_territory__edition') }}
    window of_code as (partition by territory_code order by edition_date)
),

renamings as (
    select distinct on (territory_code, day)
        new_code as territory_code,
        statistical_date as day,
        old_name,
        new_name
    from {{ ref('stg_register__territorial_changes') }}
    where change_type ~ '4' and old_code = new_code and statistical_date is not null
    order by new_code, statistical_date, known_from desc, delivery_id desc, row_number desc
),

-- Editions that say something new, dated by the renaming since the edition before where there is one.
told as (
    select
        editions.territory_code,
        coalesce(
            max(renamings.day),
            case when editions.edition_before is null then date '0001-01-01' else editions.edition_date end
        ) as day,
        editions.territory_name,
        editions.text_code,
        editions.edition_before is null as is_first
    from editions
    left join renamings
        on
            editions.territory_code = renamings.territory_code
            and editions.edition_date >= renamings.day
            and coalesce(editions.edition_before, date '0001-01-01') < renamings.day
    where
        editions.edition_before is null
        or editions.territory_name is distinct from editions.name_before
        or editions.text_code is distinct from editions.text_code_before
    group by editions.territory_code, editions.edition_date, editions.edition_before, editions.territory_name,
        editions.text_code
),

-- What no edition says is taken from the list of changes, or from the baseline.
others as (
    select distinct on (territory_code)
        territory_code,
        territory_name
    from (
        select territory_code, territory_name, 1 as place, null::date as day from {{ ref('territories') }}
        union all
        select old_code, old_name, 2, statistical_date from {{ ref('stg_register__territorial_changes') }}
        union all
        select new_code, new_name, 2, statistical_date from {{ ref('stg_register__territorial_changes') }}
    ) as named
    where territory_code not in (select editions.territory_code from editions) and territory_name is not null
    order by territory_code, place, day desc, territory_name
),

names as (
    select
        territory_code,
        day,
        territory_name,
        coalesce(lead(day) over of_code, date '9999-12-31' + 1) as next_day,
        lag(territory_name) over of_code as name_before
    from (
        select distinct on (territory_code, day)
            territory_code,
            day,
            territory_name
        from (
            select territory_code, day, territory_name, 1 as place from told
            union all
            select territory_code, day, new_name, 2 from renamings
            union all
            (
                select distinct on (territory_code) territory_code, date '0001-01-01', old_name, 3
                from renamings
                order by territory_code, day
            )
            union all
            select territory_code, date '0001-01-01', territory_name, 4 from others
        ) as known
        order by territory_code, day, place
    ) as dated
    window of_code as (partition by territory_code order by day)
),

kinds as (
    select
        territory_code,
        day,
        text_code,
        coalesce(lead(day) over of_code, date '9999-12-31' + 1) as next_day,
        lag(text_code) over of_code as text_code_before
    from (
        select distinct on (territory_code, day)
            territory_code,
            day,
            text_code
        from (
            select territory_code, case when is_first then date '0001-01-01' else day end as day, text_code, 1 as place
            from told
            union all
            select territory_code, date '0001-01-01', text_code, 2 from {{ ref('territories') }}
        ) as known
        order by territory_code, day, place
    ) as dated
    window of_code as (partition by territory_code order by day)
),

breaks as (
    select territory_code, day from names
    where territory_name is distinct from name_before
    union
    select territory_code, day from kinds
    where text_code is distinct from text_code_before
    union
    select
        unit.territory_code,
        succession.effective_date
    from {{ ref('int_territory__succession') }} as succession
    cross join lateral (
        values
        (succession.old_code),
        (succession.new_code),
        (case when left(succession.old_code, 2) <> left(succession.new_code, 2) then left(succession.old_code, 2) end),
        (case when left(succession.old_code, 2) <> left(succession.new_code, 2) then left(succession.new_code, 2) end)
    ) as unit (territory_code)
    where unit.territory_code is not null
),

beginnings as (
    select
        validity.territory_code,
        validity.valid_from,
        validity.valid_to
    from {{ ref('int_territory__validity') }} as validity
    union
    select
        validity.territory_code,
        breaks.day,
        validity.valid_to
    from {{ ref('int_territory__validity') }} as validity
    inner join breaks
        on
            validity.territory_code = breaks.territory_code
            and validity.valid_from < breaks.day
            and coalesce(validity.valid_to, date '9999-12-31') >= breaks.day
),

spans as (
    select
        territory_code,
        valid_from,
        least(valid_to, lead(valid_from) over of_code - 1) as valid_to,
        case when row_number() over of_code = 1 then date '0001-01-01' else valid_from end as covers_from,
        coalesce(lead(valid_from) over of_code - 1, date '9999-12-31') as covers_to
    from beginnings
    window of_code as (partition by territory_code order by valid_from)
)

select
    spans.territory_code,
    coalesce(names.territory_name, spans.territory_code) as territory_name,
    spans.valid_from,
    spans.valid_to,
    spans.covers_from,
    spans.covers_to,
    kinds.text_code,
    edition.ars,
    edition.population,
    edition.population_date
from spans
left join names
    on
        spans.territory_code = names.territory_code
        and spans.valid_from >= names.day
        and spans.valid_from < names.next_day
left join kinds
    on
        spans.territory_code = kinds.territory_code
        and spans.valid_from >= kinds.day
        and spans.valid_from < kinds.next_day
-- the last edition of the span, else the nearest
left join lateral (
    select
        closest.ars,
        closest.population,
        closest.population_date
    from {{ ref('int_territory__edition') }} as closest
    where closest.territory_code = spans.territory_code
    order by
        closest.edition_date > coalesce(spans.valid_to, date '9999-12-31'),
        abs(closest.edition_date - coalesce(spans.valid_to, date '9999-12-31'))
    limit 1
) as edition on true
