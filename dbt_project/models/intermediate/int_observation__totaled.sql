{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_code', 'period_code'],
    unlogged=true,
    indexes=[{'columns': ['measure_code', 'period_code']}],
    post_hook=['{{ remember_partitions() }}', 'analyze {{ this }}'],
    meta={'rules': ['territory', 'measures', 'listings', 'corrections']},
) }}
-- depends_on: {{ ref('int_delivery__contents') }} {{ ref('int_rule__digest') }}

-- Totals over the categories of a listing - clubs, school types, programmes - which names all that exists in a territory but
-- not their sum. One blocked entry blocks the total.
{% set group_columns = ['measure_code', 'territory_code', 'period_code', 'nationality', 'sex', 'age_band'] %}
{% set value_columns = [
    'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'correction_id',
] %}
with listed as (
    {% for relation in [ref('int_observation__territorial'), ref('int_observation__rolled_up')] %}
    select
        {{ (key_columns() + value_columns) | join(', ') }}
    from {{ relation }}
    {% if is_incremental() %}
        where {{ in_stale('measure_code', 'period_code') }}
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
    {{ sum_or_blocked('listed.value') }} as value,
    {{ combined_obs_status('listed.value', 'listed.obs_status', 'listed.conf_status') }} as obs_status,
    {{ combined_conf_status('listed.conf_status') }} as conf_status,
    max(listed.delivery_id) as delivery_id,
    max(listed.known_from) as known_from,
    max(listed.correction_id) as correction_id
from listed
inner join {{ ref('listings') }} as listing
    on listed.dataset_id = listing.dataset_id and listed.measure_code = listing.measure_code
where listing.excluded_category is null or listed.category <> listing.excluded_category
group by
    {% for column in group_columns %}
    listed.{{ column }},
    {% endfor %}
    listed.dataset_id
-- where the total is delivered it is not computed
having bool_and(listed.category <> 'total')
