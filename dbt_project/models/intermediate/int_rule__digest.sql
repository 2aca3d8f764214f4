{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- Fingerprints of what decides results besides deliveries; a changed seed or territory makes partitions stale.
{% set rules = {
    'territory': ['int_territory__validity', 'int_territory__lineage', 'int_territory__conversion', 'int_territory__doubt'],
    'measures': ['measures'],
    'measure_sources': ['measure_sources'],
    'age_bands': ['age_band_members'],
    'listings': ['listings'],
    'corrections': ['corrections'],
    'indicators': ['int_indicator__definitions', 'int_indicator__terms'],
    'comparisons': ['int_indicator__definitions', 'indicator_targets', 'dim_territory'],
    'revision_reasons': ['revision_reasons'],
    'deviations': ['dim_dataset'],
} %}
{% for rule, relations in rules.items() %}
select
    '{{ rule }}' as rule_code,
    {% for relation in relations %}
    md5((
        select coalesce(string_agg(rule_row::text, '|' order by rule_row::text), '')
        from {{ ref(relation) }} as rule_row
    ))
    {{- ' ||' if not loop.last }}
    {% endfor %}
    as digest
    {{ 'union all' if not loop.last }}
{% endfor %}
