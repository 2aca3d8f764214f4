{{ config(
    materialized='table',
    unlogged=true,
    post_hook='analyze {{ this }}',
    indexes=[{'columns': ['territory_code']}],
) }}

-- One validity span per key: from the editions of the register, the list of changes and the baseline. A key without a known
-- beginning counts as valid since 1900; without a known end as valid still.
with editions as (
    select distinct on (edition_date, territory_code)
        territory_code,
        territory_name,
        level,
        text_code,
        ars,
        edition_date,
        known_from
    from {{ ref('stg_register__territories') }}
    where level is not null and territory_code is not null
    order by edition_date, territory_code, known_from desc, delivery_id desc
),

-- An edition says something about a key's absence only for states it covers.
coverage as (
    select distinct
        left(territory_code, 2) as state_code,
        edition_date
    from editions
    where level = 'municipality'
),

seen as (
    select
        territory_code,
        min(edition_date) as first_seen,
        max(edition_date) as last_seen
    from editions
    group by territory_code
),

latest as (
    select distinct on (territory_code)
        territory_code,
        territory_name,
        level,
        text_code,
        ars
    from editions
    order by territory_code, edition_date desc
),

ends as (
    select
        old_code as territory_code,
        max(effective_date) as ended_on
    from {{ ref('int_territory__succession') }}
    where is_whole_unit
    group by old_code
),

beginnings as (
    select
        new_code as territory_code,
        min(effective_date) as began_on
    from {{ ref('int_territory__succession') }}
    group by new_code
),

named_in_changes as (
    select distinct on (territory_code)
        territory_code,
        territory_name
    from (
        select old_code as territory_code, old_name as territory_name, statistical_date
        from {{ ref('stg_register__territorial_changes') }}
        union all
        select new_code, new_name, statistical_date
        from {{ ref('stg_register__territorial_changes') }}
    ) as named
    where length(territory_code) = 8
    order by territory_code, statistical_date desc, territory_name
),

codes as (
    select territory_code from latest
    union
    select territory_code from {{ ref('territories') }}
    union
    select territory_code from named_in_changes
),

dated as (
    select
        codes.territory_code,
        coalesce(latest.territory_name, baseline.territory_name, changes.territory_name) as territory_name,
        coalesce(latest.level, baseline.level, 'municipality') as level,
        coalesce(latest.text_code, baseline.text_code) as text_code,
        latest.ars,
        latest.territory_code is not null as is_in_register,
        case
            when baseline.valid_from is not null then baseline.valid_from
            -- absorbed something, but an edition before that day already had it: it did not begin then
            when seen.first_seen < beginnings.began_on then null
            when
                beginnings.began_on is not null
                and exists (
                    select 1 from coverage
                    where
                        coverage.state_code = left(codes.territory_code, 2)
                        and coverage.edition_date < beginnings.began_on
                )
                then beginnings.began_on
            when
                beginnings.began_on is not null and baseline.territory_code is null
                and ends.ended_on > beginnings.began_on
                then beginnings.began_on
            when latest.level = 'municipality' and beginnings.began_on is null
                then (
                    select max(coverage.edition_date) + 1 from coverage
                    where
                        coverage.state_code = left(codes.territory_code, 2)
                        and coverage.edition_date < seen.first_seen
                )
        end as valid_from,
        case
            when baseline.valid_to is not null then baseline.valid_to
            when ends.ended_on is not null and (seen.last_seen is null or seen.last_seen < ends.ended_on)
                then ends.ended_on - 1
            when
                latest.level = 'municipality'
                and exists (
                    select 1 from coverage
                    where
                        coverage.state_code = left(codes.territory_code, 2)
                        and coverage.edition_date > seen.last_seen
                )
                then seen.last_seen
        end as valid_to
    from codes
    left join latest on codes.territory_code = latest.territory_code
    left join seen on codes.territory_code = seen.territory_code
    left join {{ ref('territories') }} as baseline on codes.territory_code = baseline.territory_code
    left join named_in_changes as changes on codes.territory_code = changes.territory_code
    left join ends on codes.territory_code = ends.territory_code
    left join beginnings on codes.territory_code = beginnings.territory_code
),

lineage as (
    select
        territory_code,
        array_agg(predecessor order by predecessor) filter (where predecessor is not null) as predecessors,
        array_agg(successor order by successor) filter (where successor is not null) as successors,
        bool_or(is_whole_unit_merger) as is_whole_unit_merger
    from (
        select distinct
            new_code as territory_code,
            old_code as predecessor,
            null as successor,
            is_whole_unit_merger
        from {{ ref('int_territory__succession') }}
        union all
        select distinct old_code, null, new_code, is_whole_unit_merger
        from {{ ref('int_territory__succession') }}
    ) as links
    group by territory_code
)

select
    dated.territory_code,
    dated.territory_name,
    dated.level,
    coalesce(dated.valid_from, date '1900-01-01') as valid_from,
    dated.valid_to,
    case when dated.level <> 'country' then left(dated.territory_code, 2) end as state_code,
    case
        when dated.level in ('county', 'association', 'municipality') then left(dated.territory_code, 5)
    end as county_code,
    dated.text_code,
    case dated.text_code
        when '41' then 'Kreisfreie Stadt'
        when '42' then 'Stadtkreis'
        when '43' then 'Kreis'
        when '44' then 'Landkreis'
        when '45' then 'Regionalverband'
        when '50' then 'Verbandsfreie Gemeinde'
        when '51' then 'Amt'
        when '52' then 'Samtgemeinde'
        when '53' then 'Verbandsgemeinde'
        when '54' then 'Verwaltungsgemeinschaft'
        when '55' then 'Kirchspielslandgemeinde'
        when '56' then 'Verwaltungsverband'
        when '57' then 'VG Trägermodell'
        when '58' then 'Erfüllende Gemeinde'
        when '60' then 'Markt'
        when '61' then 'Kreisfreie Stadt'
        when '62' then 'Stadtkreis'
        when '63' then 'Stadt'
        when '64' then 'Kreisangehörige Gemeinde'
        when '65' then 'Gemeindefreies Gebiet, bewohnt'
        when '66' then 'Gemeindefreies Gebiet, unbewohnt'
        when '67' then 'Große Kreisstadt'
    end as unit_type_de,
    coalesce(dated.text_code in ('65', '66'), false) as is_unincorporated,
    dated.ars,
    dated.is_in_register,
    coalesce(lineage.predecessors, array[]::text[]) as predecessors,
    coalesce(lineage.successors, array[]::text[]) as successors,
    coalesce(lineage.is_whole_unit_merger, false) as is_whole_unit_merger
from dated
left join lineage on dated.territory_code = lineage.territory_code
