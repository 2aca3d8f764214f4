{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Fingerprints of what decides results besides deliveries; a changed seed or territory makes partitions stale. What is known of
-- territories concerns each partition in its own way (int_rule__territory), all else concerns all of them.
{% set rules = {
    'measures': ['measures'],
    'measure_sources': ['measure_sources'],
    'age_bands': ['age_band_members'],
    'listings': ['listings'],
    'corrections': ['corrections'],
    'indicators': ['int_indicator__definitions', 'int_indicator__terms'],
    'comparisons': ['int_indicator__definitions', 'indicator_targets'],
    'revision_reasons': ['revision_reasons'],
    'deviations': ['int_dataset__known'],
} %}
{% for rule, relations in rules.items() %}
select
    '{{ rule }}' as rule_code,
    null::text as measure_code,
    null::text as period_code,
    null::text as for_period_code,
    {% for relation in relations %}
    md5((
        select coalesce(string_agg(rule_row::text, '|' order by rule_row::text), '')
        from {{ ref(relation) }} as rule_row
    ))
    {{- ' ||' if not loop.last }}
    {% endfor %}
    as digest
union all
{% endfor %}
select
    'territory',
    measure_code,
    period_code,
    for_period_code,
    digest
from {{ ref('int_rule__territory') }}
