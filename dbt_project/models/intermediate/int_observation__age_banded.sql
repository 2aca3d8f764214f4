{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
    meta={'rules': ['territory', 'measures', 'age_bands', 'corrections']},
) }}
-- depends_on: {{ ref('int_delivery__contents') }} {{ ref('int_rule__digest') }} {{ ref('int_delivery__vintages') }}

-- Wide age bands from fine ones, only where every member is there and the band was not delivered itself.
{% set group_columns = ['measure_code', 'territory_code', 'period_code', 'nationality', 'sex', 'category'] %}
with members as (
    select
        age_band,
        variant,
        member,
        count(*) over (partition by age_band, variant) as member_count
    from {{ ref('age_band_members') }}
),

observed as materialized (
    select *
    from {{ ref('int_observation__territorial') }}
    where
        age_band <> 'total'
        {% if is_incremental() %}
        and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
),

sums as (
    select
        {% for column in group_columns %}
        observed.{{ column }},
        {% endfor %}
        members.age_band,
        members.variant,
        observed.dataset_id,
        observed.territorial_basis,
        vintage.known_from,
        vintage.known_until,
        {{ sum_or_blocked('observed.value') }} as value,
        {{ combined_obs_status('observed.value', 'observed.obs_status', 'observed.conf_status') }} as obs_status,
        {{ combined_conf_status('observed.conf_status') }} as conf_status,
        max(observed.delivery_id) as delivery_id,
        max(observed.correction_id) as correction_id,
        max(observed.territorial_method) as territorial_method
    from observed
    inner join members
        on observed.age_band = members.member
    inner join {{ ref('measures') }} as measure
        on observed.measure_code = measure.measure_code
    {{ at_vintages('observed') }}
    where measure.is_additive_over_groups
    group by
        {% for column in group_columns %}
        observed.{{ column }},
        {% endfor %}
        members.age_band, members.variant, members.member_count, observed.dataset_id, observed.territorial_basis,
        vintage.known_from, vintage.known_until
    having count(*) = members.member_count
)

select distinct on ({{ key_columns() | join(', ') }}, dataset_id, known_from)
    {{ key_columns() | join(', ') }},
    dataset_id,
    territorial_basis,
    known_from,
    known_until,
    value,
    obs_status,
    conf_status,
    delivery_id,
    correction_id,
    territorial_method
from sums
where
    not exists (
        select 1 from observed as own
        where
            {% for column in key_columns() + ['dataset_id'] %}
            own.{{ column }} = sums.{{ column }}
            and {% endfor %}{{ holds_at('own', 'sums.known_from') }}
    )
order by {{ key_columns() | join(', ') }}, dataset_id, known_from, variant
