{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['indicator_code', 'definition_version', 'period_code'],
    indexes=[{'columns': ['territory_code', 'indicator_code', 'period_code']}],
    pre_hook="set local enable_nestloop = off; set local enable_mergejoin = off; set local work_mem = '128MB'",
    post_hook=['{{ remember_partitions() }}', 'analyze {{ this }}'],
    meta={
        'partition': 'indicator',
        'part': "indicator_code || '/' || definition_version",
        'rules': ['territory', 'measures', 'age_bands', 'measure_sources', 'indicators'],
    },
) }}
-- Only hash joins in this statement: the planner cannot know how many rows a term selects, guesses one, and would compare
-- every numerator with every denominator.
-- depends_on: {{ ref('int_delivery__contents') }} {{ ref('int_rule__digest') }}

-- value = numerator x multiplier / denominator, at the level of the terms. A term without a number gives a result without
-- a number and says why; a term that does not exist gives no result.
{% set groups = ['nationality', 'sex', 'age_band', 'category'] %}
{% set candidate_rank %}
observed.dataset_id = term.dataset_rule as is_preferred,
        observed.is_derived,
        observed.source_priority,
        (observed.measure_code, observed.period_code) in (
            select contested.measure_code, contested.period_code from contested
        ) as is_contested
{%- endset %}
with contested as materialized (
    select
        measure_code,
        period_code
    from {{ ref('int_delivery__contents') }}
    group by measure_code, period_code
    having count(distinct dataset_id) > 1
),

numerator_candidates as materialized (
    select
        observed.nationality as term_nationality,
        observed.sex as term_sex,
        observed.age_band as term_age_band,
        observed.category as term_category,
        term.indicator_code,
        term.definition_version,
        observed.territory_code,
        observed.period_code,
        {% for column in groups %}
        -- what the definition fixes is not a breakdown of the result
        case when base.{{ column }} = 'same' then observed.{{ column }} else '' end as same_{{ column }},
        case when term.{{ column }} = 'each' then observed.{{ column }} else 'total' end as {{ column }},
        {% endfor %}
        case when base.dataset_rule = 'same' then observed.dataset_id else '' end as same_dataset_id,
        observed.value,
        observed.obs_status,
        observed.conf_status,
        observed.dataset_id,
        observed.delivery_id,
        observed.known_from,
        {{ candidate_rank | trim }}
    from {{ ref('indicator_terms') }} as term
    left join {{ ref('indicator_terms') }} as base
        on
            term.indicator_code = base.indicator_code
            and term.definition_version = base.definition_version
            and base.role = 'denominator'
    inner join {{ ref('int_observation__candidates') }} as observed
        on term.measure_code = observed.measure_code and {{ selected_by('term', 'observed') }}
    where
        term.role = 'numerator'
        {% if is_incremental() %}
            and {{ in_stale("term.indicator_code || '/' || term.definition_version", 'observed.period_code') }}
            and {{ may_be_term('numerator', 'observed') }}
        {% endif %}
),

-- Where one dataset alone speaks about a measure and period there is nothing to choose, and nothing to sort.
numerators as materialized (
    select * from numerator_candidates
    where not is_contested
    union all
    (
        select distinct on (
            indicator_code, definition_version, territory_code, period_code,
            term_nationality, term_sex, term_age_band, term_category
        ) *
        from numerator_candidates
        where is_contested
        order by
            indicator_code, definition_version, territory_code, period_code,
            term_nationality, term_sex, term_age_band, term_category,
            is_preferred desc, is_derived, source_priority, dataset_id
    )
),

needed_periods as materialized (
    select distinct
        term.indicator_code,
        term.definition_version,
        numerators.period_code,
        {{ denominator_period('term.period_rule', 'numerators.period_code') }} as denominator_period_code
    from {{ ref('indicator_terms') }} as term
    inner join (select distinct indicator_code, definition_version, period_code from numerators) as numerators
        on
            term.indicator_code = numerators.indicator_code
            and term.definition_version = numerators.definition_version
    where term.role = 'denominator'
),

denominator_candidates as materialized (
    select
        term.indicator_code,
        term.definition_version,
        needed_periods.period_code,
        observed.territory_code,
        observed.period_code as denominator_period_code,
        {% for column in groups %}
        case when term.{{ column }} = 'same' then observed.{{ column }} else '' end as same_{{ column }},
        {% endfor %}
        case when term.dataset_rule = 'same' then observed.dataset_id else '' end as same_dataset_id,
        observed.value,
        observed.obs_status,
        observed.conf_status,
        observed.dataset_id,
        observed.delivery_id,
        observed.known_from,
        {{ candidate_rank | trim }}
    from {{ ref('indicator_terms') }} as term
    inner join needed_periods
        on
            term.indicator_code = needed_periods.indicator_code
            and term.definition_version = needed_periods.definition_version
    inner join {{ ref('int_observation__candidates') }} as observed
        on
            term.measure_code = observed.measure_code
            and needed_periods.denominator_period_code = observed.period_code
            and {{ selected_by('term', 'observed') }}
    where
        term.role = 'denominator'
        {% if is_incremental() %}
            and {{ may_be_term('denominator', 'observed') }}
        {% endif %}
),

-- One per dataset where the dataset must be the numerator's, one per number otherwise.
denominators as materialized (
    select * from denominator_candidates
    where not is_contested
    union all
    (
        select distinct on (
            indicator_code, definition_version, period_code, territory_code,
            same_nationality, same_sex, same_age_band, same_category, same_dataset_id
        ) *
        from denominator_candidates
        where is_contested
        order by
            indicator_code, definition_version, period_code, territory_code,
            same_nationality, same_sex, same_age_band, same_category, same_dataset_id,
            is_preferred desc, is_derived, source_priority, dataset_id
    )
),

paired as (
    select
        numerators.indicator_code,
        numerators.definition_version,
        numerators.territory_code,
        numerators.period_code,
        {% for column in groups %}
        numerators.{{ column }},
        {% endfor %}
        numerators.value as numerator,
        denominators.value as denominator,
        numerators.period_code as numerator_period_code,
        denominators.denominator_period_code,
        numerators.dataset_id as numerator_dataset_id,
        denominators.dataset_id as denominator_dataset_id,
        numerators.delivery_id as numerator_delivery_id,
        denominators.delivery_id as denominator_delivery_id,
        greatest(numerators.known_from, denominators.known_from) as known_from,
        case
            when denominators.value = 0 and numerators.value is not null then 'M'
            else {{ paired_obs_status('numerators', 'denominators') }}
        end as obs_status,
        {{ paired_conf_status('numerators', 'denominators') }} as conf_status
    from numerators
    inner join denominators
        on
            numerators.indicator_code = denominators.indicator_code
            and numerators.definition_version = denominators.definition_version
            and numerators.territory_code = denominators.territory_code
            and numerators.period_code = denominators.period_code
            {% for column in groups %}
            and numerators.same_{{ column }} = denominators.same_{{ column }}
            {% endfor %}
            and numerators.same_dataset_id = denominators.same_dataset_id
    union all
    select
        numerators.indicator_code,
        numerators.definition_version,
        numerators.territory_code,
        numerators.period_code,
        {% for column in groups %}
        numerators.{{ column }},
        {% endfor %}
        numerators.value,
        null,
        numerators.period_code,
        null,
        numerators.dataset_id,
        null,
        numerators.delivery_id,
        null,
        numerators.known_from,
        numerators.obs_status,
        numerators.conf_status
    from numerators
    inner join {{ ref('indicators') }} as counted
        on
            numerators.indicator_code = counted.indicator_code
            and numerators.definition_version = counted.definition_version
    where counted.aggregation = 'sum'
),

-- The headline of an indicator broken down by category is one of its categories, shown a second time as the total.
shown as (
    select
        paired.*,
        definition.multiplier,
        definition.is_proportion,
        definition.aggregation
    from paired
    inner join {{ ref('indicators') }} as definition
        on
            paired.indicator_code = definition.indicator_code
            and paired.definition_version = definition.definition_version
    where definition.headline_category is null or paired.category <> 'total'
),

with_headline as (
    select
        shown.*,
        shown.category as shown_category
    from shown
    union all
    select
        shown.*,
        'total'
    from shown
    inner join {{ ref('indicators') }} as definition
        on
            shown.indicator_code = definition.indicator_code
            and shown.definition_version = definition.definition_version
            and shown.category = definition.headline_category
)

select
    indicator_code,
    definition_version,
    territory_code,
    period_code,
    nationality,
    sex,
    age_band,
    shown_category as category,
    case
        when aggregation = 'sum' then numerator * multiplier
        when denominator <> 0 then numerator * multiplier / denominator
    end as value,
    numerator,
    denominator,
    numerator_period_code,
    denominator_period_code,
    numerator_dataset_id,
    denominator_dataset_id,
    numerator_delivery_id,
    denominator_delivery_id,
    known_from,
    case
        when is_proportion and denominator > 0 and numerator between 0 and denominator
            then multiplier * {{ wilson('numerator', 'denominator', '-') }}
    end as wilson_low,
    case
        when is_proportion and denominator > 0 and numerator between 0 and denominator
            then multiplier * {{ wilson('numerator', 'denominator', '+') }}
    end as wilson_high,
    aggregation <> 'sum' and coalesce(numerator < {{ var('small_number_limit') }}, false) as is_small_number,
    obs_status,
    conf_status
from with_headline
