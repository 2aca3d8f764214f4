{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    {{ surrogate_key(['indicator_code', 'definition_version::text']) }} as indicator_key,
    framework_code,
    coalesce(their_code, '') as their_code,
    indicator_code,
    definition_version,
    relation,
    evidence
from {{ ref('indicator_frameworks') }}
