{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
    meta={'rules': ['territory', 'measures', 'listings', 'corrections']},
) }}
-- depends_on: {{ ref('int_delivery__contents') }} {{ ref('int_rule__digest') }} {{ ref('int_delivery__vintages') }}

-- Totals over the categories of a listing - clubs, school types, programmes - which names all that exists in a territory but
-- not their sum. One blocked entry blocks the total.
{% set group_columns = ['measure_code', 'territory_code', 'period_code', 'nationality', 'sex', 'age_band'] %}
{% set value_columns = [
    'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'known_until', 'correction_id',
    'territorial_basis',
] %}
with listed as (
    {% for relation in [
        ref('int_observation__territorial'), ref('int_observation__converted'), ref('int_observation__rolled_up'),
    ] %}
    select
        {{ (key_columns() + value_columns) | join(', ') }}
    from {{ relation }} as listed  -- noqa: AL05
    where
        {{ ['true', not_replaced('listed'), 'not is_beside_own'][loop.index0] }}
        and (dataset_id, measure_code) in (
            select
                listing.dataset_id,
                listing.measure_code
            from {{ ref('listings') }} as listing
        )
        {% if is_incremental() %}
        and {{ in_stale('measure_code', 'period_code') }}
        {% endif %}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    {% for column in group_columns %}
    listed.{{ column }},
    {% endfor %}
    'total' as category,
    listed.dataset_id,
    listed.territorial_basis,
    vintage.known_from,
    vintage.known_until,
    {{ sum_or_blocked('listed.value') }} as value,
    {{ combined_obs_status('listed.value', 'listed.obs_status', 'listed.conf_status') }} as obs_status,
    {{ combined_conf_status('listed.conf_status') }} as conf_status,
    max(listed.delivery_id) as delivery_id,
    max(listed.correction_id) as correction_id
from listed
inner join {{ ref('listings') }} as listing
    on listed.dataset_id = listing.dataset_id and listed.measure_code = listing.measure_code
{{ at_vintages('listed') }}
where listing.excluded_category is null or listed.category <> listing.excluded_category
group by
    {% for column in group_columns %}
    listed.{{ column }},
    {% endfor %}
    listed.dataset_id, listed.territorial_basis, vintage.known_from, vintage.known_until
-- where the total is delivered it is not computed
having bool_and(listed.category <> 'total')
