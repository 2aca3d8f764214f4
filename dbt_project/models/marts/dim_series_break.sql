{{ config(materialized='incremental', incremental_strategy='replace') }}

-- A break of an indicator interrupts the series of each version of its definition.
select
    {{ surrogate_key([
        'series_break.break_code', "coalesce(series_break.measure_code, '')", "coalesce(series_break.indicator_code, '')",
        "coalesce(definition.definition_version::text, '')", "coalesce(series_break.territory_prefix, '')",
    ]) }} as series_break_key,
    series_break.break_code,
    series_break.kind,
    case
        when series_break.measure_code is not null then {{ surrogate_key(['series_break.measure_code']) }}
    end as measure_key,
    case
        when definition.indicator_code is not null
            then {{ surrogate_key(['definition.indicator_code', 'definition.definition_version::text']) }}
    end as indicator_key,
    series_break.measure_code,
    definition.indicator_code,
    definition.definition_version,
    coalesce(series_break.territory_prefix, '') as territory_prefix,
    series_break.from_date,
    series_break.to_date,
    series_break.recurs_on,
    series_break.note_de,
    series_break.note_en
from {{ ref('series_breaks') }} as series_break
left join {{ ref('indicator_definitions') }} as definition
    on series_break.indicator_code = definition.indicator_code
