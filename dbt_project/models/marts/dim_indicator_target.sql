{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    {{ surrogate_key([
        'indicator_code', 'definition_version::text', "coalesce(territory_code, '')", "coalesce(valid_from::text, '')",
    ]) }} as target_key,
    {{ surrogate_key(['indicator_code', 'definition_version::text']) }} as indicator_key,
    indicator_code,
    definition_version,
    territory_code,
    valid_from,
    valid_to,
    target_low,
    target_high,
    source_de,
    source_en
from {{ ref('indicator_targets') }}
