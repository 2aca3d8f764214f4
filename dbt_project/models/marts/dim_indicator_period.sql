{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    {{ surrogate_key(['indicator_code', 'definition_version::text']) }} as indicator_key,
    {{ surrogate_key(['period_code']) }} as period_key,
    role,
    term,
    {{ surrogate_key(['cell_period_code']) }} as cell_period_key,
    indicator_code,
    definition_version,
    period_code,
    cell_period_code,
    cell_rank,
    has_alternatives
from {{ ref('int_indicator__periods') }}
