{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['measure_key', 'period_key'],
    unlogged=true,
    indexes=[{'columns': ['territory_key', 'measure_key']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
    meta={'part_key': 'measure_key', 'rules': ['territory', 'revision_reasons']},
) }}
-- depends_on: {{ ref('int_rule__digest') }} {{ ref('int_delivery__contents') }}

-- What an office said differently in a later delivery, or takes back with one withdrawn. Numbers as delivered: what is corrected or derived here is no revision.
with stated as (
    select
        {% for column in key_columns() %}
        {{ column }},
        {% endfor %}
        dataset_id,
        known_from,
        known_until,
        value,
        obs_status,
        conf_status,
        delivery_id,
        row_number
    from {{ ref('int_observation__contested') }}
    {% if is_incremental() %}
    where {{ in_stale('measure_code', 'period_code') }}
    {% endif %}
),

-- Where nothing follows what was withdrawn, that there is no number is what is known from then on. Where a new version no
-- longer gives a number, it says so itself.
changed as (
    select * from stated
    union all
    select
        {% for column in key_columns() %}
        {{ column }},
        {% endfor %}
        dataset_id,
        known_until,
        null,
        null,
        null,
        null,
        null,
        null
    from (
        select
            *,
            lead(known_from) over (
                partition by {{ key_columns() | join(', ') }}, dataset_id
                order by known_from
            ) as next_from
        from stated
    ) as ended
    where known_until is not null and next_from is distinct from known_until
),

followed as (
    select
        {% for column in key_columns() %}
        {{ column }},
        {% endfor %}
        dataset_id,
        known_from as revised_at,
        row_number() over following as place,
        lag(value) over following as old_value,
        value as new_value,
        lag(obs_status) over following as old_obs_status,
        obs_status as new_obs_status,
        lag(conf_status) over following as old_conf_status,
        conf_status as new_conf_status,
        lag(delivery_id) over following as old_delivery_id,
        delivery_id as new_delivery_id,
        row_number as new_row_number
    from changed
    window following as (
        partition by {{ key_columns() | join(', ') }}, dataset_id
        order by known_from
    )
),

explained as (
    select distinct on (
        {% for column in key_columns() %}
        followed.{{ column }},
        {% endfor %}
        followed.dataset_id, followed.revised_at
    )
        followed.*,
        coalesce(
            case when withdrawn.delivery_id is not null then 'withdrawn' end,
            known.reason,
            case when followed.old_obs_status = 'P' and followed.new_obs_status = 'A' then 'provisional_to_final' end,
            'none'
        ) as reason,
        known.note_de,
        known.note_en
    from followed
    left join {{ ref('revision_reasons') }} as known
        on
            followed.dataset_id = known.dataset_id
            and followed.measure_code = known.measure_code
            and starts_with(followed.territory_code, coalesce(known.territory_prefix, ''))
            and followed.period_code = coalesce(known.period_code, followed.period_code)
            and followed.revised_at >= coalesce(known.revised_from, '-infinity')
            and followed.revised_at < coalesce(known.revised_to + 1, 'infinity')
    left join {{ ref('int_delivery__counted') }} as withdrawn
        on followed.old_delivery_id = withdrawn.delivery_id and followed.revised_at = withdrawn.known_until
    where
        followed.place > 1
        and (followed.old_value, followed.old_obs_status, followed.old_conf_status)
        is distinct from (followed.new_value, followed.new_obs_status, followed.new_conf_status)
    order by
        {% for column in key_columns() %}
        followed.{{ column }},
        {% endfor %}
        followed.dataset_id, followed.revised_at, known.territory_prefix desc nulls last,
        known.period_code desc nulls last, known.reason
)

select
    measure.measure_key,
    period.period_key,
    territory.territory_key,
    population_group.population_group_key,
    category.category_key,
    dataset.dataset_key,
    explained.revised_at,
    explained.old_value,
    explained.new_value,
    explained.new_value - explained.old_value as difference,
    explained.old_obs_status,
    explained.new_obs_status,
    explained.old_conf_status,
    explained.new_conf_status,
    explained.old_delivery_id,
    explained.new_delivery_id,
    explained.new_row_number,
    explained.reason,
    explained.note_de,
    explained.note_en
from explained
{{ with_keys('explained', has_basis=false) }}
