{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    {{ surrogate_key(['indicator_code', 'definition_version::text']) }} as indicator_key,
    role,
    term,
    sign,
    {{ surrogate_key(['measure_code']) }} as measure_key,
    indicator_code,
    definition_version,
    measure_code,
    nationality,
    sex,
    age_band,
    category,
    period_rule,
    dataset_rule,
    is_optional
from {{ ref('int_indicator__terms') }}
