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
        'rules': ['territory', 'measures', 'age_bands', 'measure_sources', 'listings', 'corrections', 'indicators'],
    },
) }}
-- Only hash joins in this statement: the planner cannot know how many rows a term selects, guesses one, and would compare
-- every numerator with every denominator.
-- depends_on: {{ ref('int_delivery__contents') }} {{ ref('int_rule__digest') }}

-- value = numerator x multiplier / denominator, at the level of the terms; numerator and denominator are single cells or sums
-- of several. A term without a number gives a result without a number and says why, and so does a sum with a part missing; a
-- role of which nothing exists gives no result.
{% set groups = ['nationality', 'sex', 'age_band', 'category'] %}
{% set cell_columns = [
    'indicator_code', 'definition_version', 'role', 'term', 'sign', 'is_optional', 'is_single', 'period_code',
    'cell_period_code', 'territory_code', 'same_nationality', 'nationality', 'same_sex', 'sex', 'same_age_band', 'age_band',
    'same_category', 'category', 'same_dataset_id', 'value', 'obs_status', 'conf_status', 'dataset_id', 'delivery_id',
    'known_from',
] %}
-- roles: of how many cells a number is made, and by what a mean is divided.
with roles as materialized (
    select
        indicator_code,
        definition_version,
        role,
        coalesce(sum({{ cells_of_rule('period_rule') }}) filter (where not is_optional), 0) as required_cells,
        max(case when period_rule like '%mean%' then {{ cells_of_rule('period_rule') }} else 1 end) as divisor,
        count(*) = 1 and max({{ cells_of_rule('period_rule') }}) = 1 as is_single
    from {{ ref('int_indicator__terms') }}
    group by indicator_code, definition_version, role
),

-- What of the numerator's group the denominator follows.
followed as materialized (
    select
        indicator_code,
        definition_version,
        {% for column in groups %}
        bool_or({{ column }} = 'same') as follows_{{ column }},
        {% endfor %}
        bool_or(dataset_rule = 'same') as follows_dataset
    from {{ ref('int_indicator__terms') }}
    where role = 'denominator'
    group by indicator_code, definition_version
),

terms as materialized (
    select
        term.*,
        roles.is_single,
        {% for column in groups %}
        coalesce(followed.follows_{{ column }}, false) as follows_{{ column }},
        {% endfor %}
        coalesce(followed.follows_dataset, false) as follows_dataset
    from {{ ref('int_indicator__terms') }} as term
    inner join roles
        on
            term.indicator_code = roles.indicator_code
            and term.definition_version = roles.definition_version
            and term.role = roles.role
    left join followed
        on
            term.indicator_code = followed.indicator_code
            and term.definition_version = followed.definition_version
),

{% set cell %}
        term.indicator_code,
        term.definition_version,
        term.role,
        term.term,
        term.sign,
        term.is_optional,
        term.is_single,
        needed.period_code,
        observed.period_code as cell_period_code,
        observed.territory_code,
        {% for column in groups %}
        case when term.follows_{{ column }} then observed.{{ column }} else '' end as same_{{ column }},
        -- what the definition fixes is not a breakdown of the result
        case when term.{{ column }} = 'each' then observed.{{ column }} else 'total' end as {{ column }},
        {% endfor %}
        case when term.follows_dataset then observed.dataset_id else '' end as same_dataset_id,
        observed.value,
        case when needed.cell_rank > 0 and observed.obs_status = 'A' then 'P' else observed.obs_status end
            as obs_status,
        observed.conf_status,
        observed.dataset_id,
        observed.delivery_id,
        observed.known_from
{%- endset %}
{% set needed_by_term %}
inner join {{ ref('int_indicator__periods') }} as needed
        on
            term.indicator_code = needed.indicator_code
            and term.definition_version = needed.definition_version
            and term.role = needed.role
            and term.term = needed.term
{%- endset %}
{% set observed_of_term %}
on
            needed.measure_code = observed.measure_code
            and needed.cell_period_code = observed.period_code
            and {{ selected_by('term', 'observed') }}
{%- endset %}
{% set of_stale_partitions %}
{% if is_incremental() %}
            and {{ in_stale("needed.indicator_code || '/' || needed.definition_version", 'needed.period_code') }}
            and {{ may_be_cell('observed') }}
        {% endif %}
{%- endset %}
numerator_cells as materialized (
    select
        {{ cell | trim }}
    from terms as term
    {{ needed_by_term }}
    inner join {{ ref('fct_observation') }} as observed
        {{ observed_of_term }}
    where
        term.role = 'numerator'
        {{ of_stale_partitions }}
),

-- Denominators are looked for only where there is a numerator: populations exist for the whole country.
wanted as materialized (
    select distinct
        indicator_code,
        definition_version,
        period_code,
        territory_code
    from numerator_cells
),

denominator_candidates as materialized (
    {% for relation, rule in [
        (ref('fct_observation'), "term.dataset_rule = 'any'"),
        (ref('int_observation__candidates'), "term.dataset_rule <> 'any'"),
    ] %}
    {% set is_resolved = loop.first %}
    select
        {{ cell | trim }},
        case when needed.has_alternatives then '' else needed.cell_period_code end as place,
        needed.cell_rank,
        needed.has_alternatives or term.dataset_rule not in ('any', 'same') as is_contested,
        observed.dataset_id = term.dataset_rule as is_preferred,
        observed.is_derived,
        {{ '0' if is_resolved else 'observed.source_priority' }} as source_priority
    from terms as term
    {{ needed_by_term }}
    inner join wanted
        on
            needed.indicator_code = wanted.indicator_code
            and needed.definition_version = wanted.definition_version
            and needed.period_code = wanted.period_code
    inner join {{ relation }} as observed
        {{ observed_of_term }}
            and wanted.territory_code = observed.territory_code
    where
        term.role = 'denominator'
        and {{ rule }}
        {{ of_stale_partitions }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- One answer per cell: of the latest period, the dataset the term prefers, delivered before derived. A cell that must be of
-- the numerator's dataset is one per dataset, and there is nothing to choose.
{% set cell_key %}
indicator_code, definition_version, term, period_code, place, territory_code,
            {% for column in groups %}same_{{ column }}, {% endfor %}same_dataset_id
{%- endset %}
cells as materialized (
    select * from numerator_cells
    union all
    select {{ cell_columns | join(', ') }} from denominator_candidates
    where not is_contested
    union all
    (
        select distinct on (
            {{ cell_key | trim }}
        ) {{ cell_columns | join(', ') }}
        from denominator_candidates
        where is_contested
        order by
            {{ cell_key | trim }},
            cell_rank, is_preferred desc, is_derived, source_priority, dataset_id
    )
),

{% set key_of_sum %}
cells.indicator_code,
        cells.definition_version,
        cells.role,
        cells.territory_code,
        cells.period_code,
        {% for column in groups %}
        cells.{{ column }},
        cells.same_{{ column }},
        {% endfor %}
        cells.same_dataset_id
{%- endset %}
sums as materialized (
    select
        {{ key_of_sum | trim }},
        cells.value,
        cells.value as events,
        cells.cell_period_code,
        cells.dataset_id,
        cells.delivery_id,
        cells.known_from,
        cells.obs_status,
        cells.conf_status
    from cells
    where cells.is_single
    union all
    select
        {{ key_of_sum | trim }},
        case
            when count(*) filter (where not cells.is_optional) < max(roles.required_cells) then null
            when bool_or(cells.value is null) then null
            when max(roles.divisor) = 1 then sum(cells.sign * cells.value)
            else sum(cells.sign * cells.value) / max(roles.divisor)
        end,
        sum(cells.value),
        case
            when min(cells.cell_period_code) = max(cells.cell_period_code) then min(cells.cell_period_code)
            else min(cells.cell_period_code) || '/' || max(cells.cell_period_code)
        end,
        min(cells.dataset_id),
        max(cells.delivery_id),
        max(cells.known_from),
        case
            when
                count(*) filter (where not cells.is_optional) < max(roles.required_cells)
                and not bool_or(cells.value is null)
                then 'M'
            else {{ combined_obs_status('cells.value', 'cells.obs_status', 'cells.conf_status') }}
        end,
        {{ combined_conf_status('cells.conf_status') }}
    from cells
    inner join roles
        on
            cells.indicator_code = roles.indicator_code
            and cells.definition_version = roles.definition_version
            and cells.role = roles.role
    where not cells.is_single
    group by
        {{ key_of_sum | trim }}
),

numerators as materialized (
    select * from sums
    where role = 'numerator'
),

denominators as materialized (
    select * from sums
    where role = 'denominator'
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
        numerators.events,
        denominators.value as denominator,
        true as has_denominator,
        numerators.cell_period_code as numerator_period_code,
        denominators.cell_period_code as denominator_period_code,
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
        numerators.events,
        null,
        false,
        numerators.cell_period_code,
        null,
        numerators.dataset_id,
        null,
        numerators.delivery_id,
        null,
        numerators.known_from,
        numerators.obs_status,
        numerators.conf_status
    from numerators
    where
        (numerators.indicator_code, numerators.definition_version) not in (
            select followed.indicator_code, followed.definition_version from followed
        )
),

-- The headline of an indicator broken down by category is one of its categories, shown a second time as the total.
shown as (
    select
        paired.*,
        definition.multiplier,
        definition.is_proportion
    from paired
    inner join {{ ref('int_indicator__definitions') }} as definition
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
    inner join {{ ref('int_indicator__definitions') }} as definition
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
        when not has_denominator then numerator * multiplier
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
    has_denominator and numerator is not null and events < {{ var('small_number_limit') }} as is_small_number,
    obs_status,
    conf_status
from with_headline
