{{ config(materialized='incremental', incremental_strategy='replace') }}

-- An agency is a folder of contracts; it is called by its offices. An office that is part of one named already adds nothing.
with offices as (
    select distinct
        agency_code,
        office_name
    from {{ source('ops', 'dataset') }}
),

named as (
    select
        office.agency_code,
        string_agg(office.office_name, '; ' order by office.office_name) as agency_name
    from offices as office
    where
        not exists (
            select 1 from offices as whole
            where
                office.agency_code = whole.agency_code
                and office.office_name <> whole.office_name
                and starts_with(office.office_name, whole.office_name)
        )
    group by office.agency_code
)

select distinct
    {{ surrogate_key(['known.agency_code']) }} as agency_key,
    known.agency_code,
    coalesce(named.agency_name, known.agency_code) as agency_name
from {{ ref('int_dataset__known') }} as known
left join named
    on known.agency_code = named.agency_code
