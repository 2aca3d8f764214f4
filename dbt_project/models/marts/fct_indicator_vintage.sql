{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['indicator_key', 'period_key'],
    unlogged=true,
    indexes=[{'columns': ['territory_key', 'period_key']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ create_indicator_as_of() }}', '{{ analyze_if_due() }}'],
    meta={
        'partition': 'indicator',
        'part_key': 'indicator_key',
        'rules': ['territory', 'measures', 'age_bands', 'measure_sources', 'listings', 'corrections', 'indicators'],
    },
) }}
-- depends_on: {{ ref('int_delivery__contents') }} {{ ref('int_rule__digest') }}

-- value = numerator x multiplier / denominator, at the level of the terms; numerator and denominator are single cells or sums
-- of several. A term without a number gives a result without a number and says why, and so does a sum with a part missing; a
-- role of which nothing exists gives no result. Every result holds from when to when its cells held.
{% set groups = ['nationality', 'sex', 'age_band', 'category'] %}
{% set methods = territorial_methods() %}
{% set key_of_role %}
result_id,
        role,
        territory_code,
        {% for column in groups %}
        {{ column }},
        same_{{ column }},
        {% endfor %}
        same_dataset_id
{%- endset %}

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

-- One row per result (an indicator in one version, and a period) and cell it needs.
needed as materialized (
    select
        dense_rank() over (
            order by term.indicator_code, term.definition_version, cell.period_code
        )::integer as result_id,
        term.*,
        cell.period_code,
        cell.cell_period_code,
        cell.cell_rank,
        cell.has_alternatives,
        dense_rank() over (
            order by
                term.measure_code, cell.cell_period_code, term.nationality, term.sex, term.age_band, term.category,
                term.dataset_rule = 'any' or term.role = 'numerator'
        )::integer as selection_id,
        roles.is_single,
        roles.required_cells,
        roles.divisor,
        term.role = 'denominator'
        and (cell.has_alternatives or term.dataset_rule not in ('any', 'same')) as is_contested,
        followed.indicator_code is not null as has_denominator,
        {% for column in groups %}
        coalesce(followed.follows_{{ column }}, false) as follows_{{ column }},
        {% endfor %}
        coalesce(followed.follows_dataset, false) as follows_dataset
    from {{ ref('int_indicator__terms') }} as term
    inner join {{ ref('int_indicator__periods') }} as cell
        on
            term.indicator_code = cell.indicator_code
            and term.definition_version = cell.definition_version
            and term.role = cell.role
            and term.term = cell.term
    inner join roles
        on
            term.indicator_code = roles.indicator_code
            and term.definition_version = roles.definition_version
            and term.role = roles.role
    left join followed
        on
            term.indicator_code = followed.indicator_code
            and term.definition_version = followed.definition_version
    {% if is_incremental() %}
    where {{ in_stale("cell.indicator_code || '|' || cell.definition_version", 'cell.period_code') }}
    {% endif %}
),

results as materialized (
    select distinct
        needed.result_id,
        needed.has_denominator,
        needed.period_code,
        definition.indicator_code,
        definition.definition_version,
        definition.multiplier,
        definition.is_proportion,
        definition.headline_category
    from needed
    inner join {{ ref('int_indicator__definitions') }} as definition
        on
            needed.indicator_code = definition.indicator_code
            and needed.definition_version = definition.definition_version
),

-- The same cells serve many results - the population of a year every month after it - and are looked for once.
selections as materialized (
    select distinct
        selection_id,
        measure_code,
        cell_period_code,
        nationality,
        sex,
        age_band,
        category,
        dataset_rule = 'any' or role = 'numerator' as is_chosen
    from needed
),

selected as materialized (
    {% for relation, is_chosen in [
        (ref('int_observation__chosen'), true), (ref('int_observation__candidates'), false),
    ] %}
    select
        selections.selection_id,
        observed.territory_code,
        {% for column in groups %}
        observed.{{ column }},
        {% endfor %}
        observed.territorial_basis,
        array_position({{ methods }}, observed.territorial_method) as method_rank,
        observed.value,
        observed.obs_status,
        observed.conf_status,
        observed.dataset_id,
        observed.delivery_id,
        observed.known_from,
        observed.known_until,
        observed.is_derived,
        {{ '0' if is_chosen else 'observed.source_priority' }} as source_priority
    from selections
    inner join {{ relation }} as observed
        on
            selections.measure_code = observed.measure_code
            and selections.cell_period_code = observed.period_code
            and {{ selected_by('selections', 'observed') }}
            {% if is_incremental() %}
            and {{ may_be_cell('observed.measure_code, observed.period_code') }}
            {% endif %}
    where {{ '' if is_chosen else 'not ' }}selections.is_chosen
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

{% set cell %}
        needed.result_id,
        needed.role,
        needed.term,
        needed.sign,
        needed.is_optional,
        needed.is_single,
        needed.required_cells,
        needed.divisor,
        needed.cell_period_code,
        selected.territory_code,
        {% for column in groups %}
        case when needed.follows_{{ column }} then selected.{{ column }} else '' end as same_{{ column }},
        -- what the definition fixes is not a breakdown of the result
        case when needed.{{ column }} = 'each' then selected.{{ column }} else 'total' end as {{ column }},
        {% endfor %}
        case when needed.follows_dataset then selected.dataset_id else '' end as same_dataset_id,
        selected.territorial_basis,
        selected.method_rank,
        selected.value,
        case when needed.cell_rank > 0 and selected.obs_status = 'A' then 'P' else selected.obs_status end
            as obs_status,
        selected.conf_status,
        selected.dataset_id,
        selected.delivery_id,
        selected.known_from,
        selected.known_until,
        needed.is_contested,
        case when needed.has_alternatives then '' else needed.cell_period_code end as place,
        needed.cell_rank,
        selected.dataset_id = needed.dataset_rule as is_preferred,
        selected.is_derived,
        selected.source_priority
{%- endset %}
numerator_cells as materialized (
    select
        {{ cell | trim }}
    from needed
    inner join selected
        on needed.selection_id = selected.selection_id
    where needed.role = 'numerator'
),

-- Denominators are looked for only where there is a numerator: populations exist for the whole country.
wanted as materialized (
    select distinct
        result_id,
        territory_code
    from numerator_cells
),

denominator_cells as materialized (
    select
        {{ cell | trim }}
    from needed
    inner join wanted
        on needed.result_id = wanted.result_id
    inner join selected
        on needed.selection_id = selected.selection_id and wanted.territory_code = selected.territory_code
    where needed.role = 'denominator'
),

cells as (
    select * from numerator_cells
    union all
    select * from denominator_cells
),

-- A role made of several cells, or of one chosen among several, changes whenever something about one of them becomes known. A
-- moving sum is none before its own month is known.
moments as materialized (
    select
        result_id,
        role,
        known_from,
        lead(known_from) over (partition by result_id, role order by known_from) as known_until
    from (
        select distinct
            needed.result_id,
            needed.role,
            vintage.known_from,
            min(vintage.known_from) filter (
                where needed.period_rule = 'rolling_12_sum' and needed.cell_period_code = needed.period_code
            ) over (partition by needed.result_id, needed.role) as led_from
        from needed
        inner join {{ ref('int_delivery__vintages') }} as vintage
            on
                needed.measure_code = vintage.measure_code
                and needed.cell_period_code = vintage.period_code
                and vintage.dataset_id = '*'
        where not needed.is_single or needed.is_contested
    ) as known
    where led_from is null or known_from >= led_from
),

-- Where a unit has changed, its cells on either basis make two sums.
at_moments as materialized (
    select
        cells.*,
        moments.known_from as moment,
        moments.known_until as moment_until,
        basis.counted_as
    from (
        select
            cells.*,
            bool_or(territorial_basis <> 'both') over (partition by result_id, role, territory_code) as has_changed
        from cells
        where not is_single or is_contested
    ) as cells
    inner join moments
        on
            cells.result_id = moments.result_id
            and cells.role = moments.role
            and {{ holds_at('cells', 'moments.known_from') }}
    inner join (values ('both', 'both'), ('as_delivered', 'as_delivered'), ('converted', 'converted'),
        ('both', 'as_delivered'), ('both', 'converted')) as basis (territorial_basis, counted_as)
        on
            cells.territorial_basis = basis.territorial_basis
            and (basis.counted_as <> 'both') = cells.has_changed
),

-- One answer per cell: of the latest period, the dataset the term prefers, delivered before derived.
chosen as materialized (
    select * from at_moments
    where not is_contested
    union all
    (
        select distinct on ({{ key_of_role | trim }}, term, place, moment, counted_as) *
        from at_moments
        where is_contested
        order by
            {{ key_of_role | trim }}, term, place, moment, counted_as,
            cell_rank, is_preferred desc, is_derived, source_priority, dataset_id
    )
),

states as materialized (
    select
        {{ key_of_role | trim }},
        territorial_basis,
        known_from,
        known_until,
        value,
        value as events,
        cell_period_code,
        dataset_id,
        delivery_id,
        method_rank,
        obs_status,
        conf_status
    from cells
    where is_single and not is_contested
    union all
    select
        {{ key_of_role | trim }},
        counted_as,
        moment,
        moment_until,
        value,
        value,
        cell_period_code,
        dataset_id,
        delivery_id,
        method_rank,
        obs_status,
        conf_status
    from chosen
    where is_single
    union all
    select
        {{ key_of_role | trim }},
        counted_as,
        moment,
        moment_until,
        case
            when count(*) filter (where not is_optional) < max(required_cells) then null
            when bool_or(value is null) then null
            when max(divisor) = 1 then sum(sign * value)
            else sum(sign * value) / max(divisor)
        end,
        sum(value),
        case
            when min(cell_period_code) = max(cell_period_code) then min(cell_period_code)
            else min(cell_period_code) || '/' || max(cell_period_code)
        end,
        min(dataset_id),
        max(delivery_id),
        min(method_rank),
        case
            when
                count(*) filter (where not is_optional) < max(required_cells)
                and not bool_or(value is null)
                then 'M'
            else {{ combined_obs_status('value', 'obs_status', 'conf_status') }}
        end,
        {{ combined_conf_status('conf_status') }}
    from chosen
    where not is_single
    group by
        {{ key_of_role | trim }},
        counted_as, moment, moment_until
),

numerators as (
    select * from states
    where role = 'numerator'
),

denominators as (
    select * from states
    where role = 'denominator'
),

{% set key_of_headline = ['result_id', 'territory_code', 'nationality', 'sex', 'age_band', 'category'] %}
paired as materialized (
    select
        numerators.result_id,
        numerators.territory_code,
        {% for column in groups %}
        numerators.{{ column }},
        {% endfor %}
        case
            when numerators.territorial_basis = 'both' then denominators.territorial_basis
            else numerators.territorial_basis
        end as territorial_basis,
        greatest(numerators.known_from, denominators.known_from) as known_from,
        least(numerators.known_until, denominators.known_until) as known_until,
        numerators.known_from as numerator_known_from,
        numerators.value as numerator,
        numerators.events,
        denominators.value as denominator,
        numerators.cell_period_code as numerator_period_code,
        denominators.cell_period_code as denominator_period_code,
        numerators.dataset_id as numerator_dataset_id,
        denominators.dataset_id as denominator_dataset_id,
        numerators.delivery_id as numerator_delivery_id,
        denominators.delivery_id as denominator_delivery_id,
        least(numerators.method_rank, denominators.method_rank) as method_rank,
        case
            when denominators.value = 0 and numerators.value is not null then 'M'
            else {{ paired_obs_status('numerators', 'denominators') }}
        end as obs_status,
        {{ paired_conf_status('numerators', 'denominators') }} as conf_status
    from numerators
    inner join denominators
        on
            numerators.result_id = denominators.result_id
            and numerators.territory_code = denominators.territory_code
            {% for column in groups %}
            and numerators.same_{{ column }} = denominators.same_{{ column }}
            {% endfor %}
            and numerators.same_dataset_id = denominators.same_dataset_id
            and (
                numerators.territorial_basis = denominators.territorial_basis
                or 'both' in (numerators.territorial_basis, denominators.territorial_basis)
            )
            and {{ hold_together('numerators', 'denominators') }}
    union all
    select
        numerators.result_id,
        numerators.territory_code,
        {% for column in groups %}
        numerators.{{ column }},
        {% endfor %}
        numerators.territorial_basis,
        numerators.known_from,
        numerators.known_until,
        null,
        numerators.value,
        numerators.events,
        null,
        numerators.cell_period_code,
        null,
        numerators.dataset_id,
        null,
        numerators.delivery_id,
        null,
        numerators.method_rank,
        numerators.obs_status,
        numerators.conf_status
    from numerators
    inner join results
        on numerators.result_id = results.result_id
    where not results.has_denominator
),

-- A headline whose denominator nobody delivered, not yet, or took back, has no value then and says so.
with_denominator as (
    select
        {{ key_of_headline | join(', ') }},
        numerator_known_from,
        range_agg(tstzrange(known_from, known_until)) as had_one
    from paired
    where numerator_known_from is not null
    group by {{ key_of_headline | join(', ') }}, numerator_known_from
),

without_denominator as (
    select
        {% for column in key_of_headline %}
        numerators.{{ column }},
        {% endfor %}
        numerators.territorial_basis,
        lower(span.lacks_one) as known_from,
        upper(span.lacks_one) as known_until,
        numerators.value as numerator,
        numerators.events,
        numerators.cell_period_code,
        numerators.dataset_id,
        numerators.delivery_id,
        numerators.method_rank,
        case
            when numerators.obs_status in ('Q', 'O') then numerators.obs_status else 'M'
        end as obs_status,
        numerators.conf_status
    from numerators
    inner join results
        on numerators.result_id = results.result_id
    left join with_denominator
        on
            {% for column in key_of_headline %}
            numerators.{{ column }} = with_denominator.{{ column }}
            and {% endfor %}numerators.known_from = with_denominator.numerator_known_from
    cross join lateral unnest(
        tstzmultirange(tstzrange(numerators.known_from, numerators.known_until))
        - coalesce(with_denominator.had_one, '{}'::tstzmultirange)
    ) as span (lacks_one)
    where
        results.has_denominator
        and numerators.category in ('total', results.headline_category)
        and (numerators.nationality, numerators.sex, numerators.age_band) = ('total', 'total', 'total')
),

-- Results with a past: neighbours in time that say the same are one.
{% set key_of_pair = key_of_headline + ['territorial_basis'] %}
{% set values_of_pair = [
    'numerator', 'events', 'denominator', 'numerator_period_code', 'denominator_period_code', 'numerator_dataset_id',
    'denominator_dataset_id', 'numerator_delivery_id', 'denominator_delivery_id', 'method_rank', 'obs_status',
    'conf_status',
] %}
found as materialized (
    select
        {{ (key_of_pair + values_of_pair) | join(',\n        ') }},
        known_from,
        known_until
    from paired
    union all
    select
        {{ key_of_pair | join(',\n        ') }},
        numerator,
        events,
        null,
        cell_period_code,
        null,
        dataset_id,
        null,
        delivery_id,
        null,
        method_rank,
        obs_status,
        conf_status,
        known_from,
        known_until
    from without_denominator
),

eventful as materialized (
    select distinct result_id from found
    where known_until is not null
),

with_past as (
    select * from found
    where result_id in (select eventful.result_id from eventful)
),

merged as (
    select
        {{ (key_of_pair + values_of_pair) | join(',\n        ') }},
        known_from,
        known_until
    from found
    where result_id not in (select eventful.result_id from eventful)
    union all
    {{ merge_equal_neighbours('with_past', key_of_pair, values_of_pair) }}
),

-- The headline of an indicator broken down by category is one of its categories, shown a second time as the total.
shown as (
    select
        merged.*,
        results.indicator_code,
        results.definition_version,
        results.period_code,
        results.multiplier,
        results.is_proportion,
        results.has_denominator,
        case when headline.is_headline then 'total' else merged.category end as shown_category
    from merged
    inner join results
        on merged.result_id = results.result_id
    inner join (values (false), (true)) as headline (is_headline)
        on
            (headline.is_headline and merged.category = results.headline_category)
            or (not headline.is_headline and (results.headline_category is null or merged.category <> 'total'))
)

select
    {{ surrogate_key(['shown.indicator_code', 'shown.definition_version::text']) }} as indicator_key,
    period.period_key,
    territory.territory_key,
    population_group.population_group_key,
    category.category_key,
    shown.territorial_basis,
    shown.known_from,
    shown.known_until,
    case
        when not shown.has_denominator then shown.numerator * shown.multiplier
        when shown.denominator <> 0 then shown.numerator * shown.multiplier / shown.denominator
    end as value,
    shown.numerator,
    shown.denominator,
    shown.numerator_period_code,
    shown.denominator_period_code,
    shown.numerator_dataset_id,
    shown.denominator_dataset_id,
    shown.numerator_delivery_id,
    shown.denominator_delivery_id,
    case
        when shown.is_proportion and shown.denominator > 0 and shown.numerator between 0 and shown.denominator
            then shown.multiplier * {{ wilson('shown.numerator', 'shown.denominator', '-') }}
    end as wilson_low,
    case
        when shown.is_proportion and shown.denominator > 0 and shown.numerator between 0 and shown.denominator
            then shown.multiplier * {{ wilson('shown.numerator', 'shown.denominator', '+') }}
    end as wilson_high,
    shown.has_denominator and shown.numerator is not null and shown.events < {{ var('small_number_limit') }}
        as is_small_number,
    ({{ methods }})[shown.method_rank] as territorial_method,
    shown.obs_status,
    shown.conf_status,
    case
        when shown.numerator is not null and shown.denominator is null and shown.denominator_period_code is null
            and shown.has_denominator then 'no_denominator'
        when shown.numerator is not null and shown.denominator = 0 then 'zero_denominator'
        when shown.numerator is not null and (shown.denominator is not null or not shown.has_denominator) then null
        when shown.obs_status = 'Q' or shown.conf_status <> 'F' then 'suppressed'
        when shown.obs_status = 'O' then 'not_available'
        else 'incomplete'
    end as null_reason
from shown
left join {{ ref('dim_period') }} as period
    on shown.period_code = period.period_code
left join {{ ref('dim_territory') }} as territory
    on
        shown.territory_code = territory.territory_code
        and case
            when shown.territorial_basis = 'converted' then {{ territorial_state() }} else period.reference_date
        end between territory.covers_from and territory.covers_to
left join {{ ref('dim_population_group') }} as population_group
    on
        shown.nationality = population_group.nationality
        and shown.sex = population_group.sex
        and shown.age_band = population_group.age_band
left join {{ ref('dim_category') }} as category
    on shown.shown_category = category.category_code
