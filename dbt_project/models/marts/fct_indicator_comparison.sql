{{ config(
    materialized='incremental',
    incremental_strategy='replace_partitions',
    unique_key=['indicator_key', 'period_key'],
    unlogged=true,
    indexes=[{'columns': ['territory_key', 'period_key']}],
    pre_hook='{{ join_by_hashing() }}',
    post_hook=['{{ remember_partitions() }}', '{{ analyze_if_due() }}'],
    meta={'partition': 'comparison', 'part_key': 'indicator_key', 'rules': ['comparisons']},
) }}
-- depends_on: {{ ref('int_rule__digest') }}

-- What a value means beside others: the period before, the neighbours in its county or state, units of its kind and size, its
-- target. Compared are values of the same definition, period and group on the same territories.
{% set cell = ['indicator_key', 'population_group_key', 'category_key'] %}
{% set pairs = ['siblings', 'peers'] %}
with compared as materialized (
    select
        {{ surrogate_key(['comparable.indicator_code', 'comparable.definition_version::text']) }} as indicator_key,
        {{ surrogate_key(['comparable.period_code']) }} as period_key,
        {{ surrogate_key(['comparable.compared_period_code']) }} as compared_period_key,
        comparable.compared_period_code,
        comparable.step,
        comparable.broken_for
    from {{ ref('int_indicator__comparable') }} as comparable
    {% if is_incremental() %}
    where
        {{ in_stale(
            "comparable.indicator_code || '|' || comparable.definition_version", 'comparable.period_code'
        ) }}
    {% endif %}
),

known as materialized (
    select
        compared.indicator_key,
        compared.period_key,
        compared.compared_period_key,
        compared.compared_period_code,
        compared.step,
        compared.broken_for,
        vintage.territory_key,
        territory.territory_code,
        territory.level,
        territory.county_code,
        territory.state_code,
        territory.text_code,
        territory.size_class_code,
        vintage.population_group_key,
        vintage.category_key,
        vintage.territorial_basis,
        vintage.value,
        vintage.numerator,
        vintage.denominator,
        vintage.is_small_number
    from compared
    inner join {{ ref('fct_indicator_vintage') }} as vintage
        on
            compared.indicator_key = vintage.indicator_key
            and compared.compared_period_key = vintage.period_key
            {% if is_incremental() %}
            and {{ in_rows('vintage.indicator_key, vintage.period_key', compared_of_stale(), 500) }}
            {% endif %}
    inner join {{ ref('dim_territory') }} as territory
        on vintage.territory_key = territory.territory_key
    where vintage.known_until is null and vintage.value is not null
),

current_values as materialized (
    select
        known.*,
        definition.multiplier,
        definition.direction,
        definition.aggregation,
        definition.indicator_code,
        definition.definition_version
    from known
    inner join {{ ref('dim_indicator') }} as definition
        on known.indicator_key = definition.indicator_key
    where known.step = 0
),

-- A unit of today is compared with itself as it is today; one that is gone with itself as it was.
earlier as materialized (
    select
        current_values.territory_key,
        {% for column in cell %}
        current_values.{{ column }},
        {% endfor %}
        current_values.period_key,
        current_values.territorial_basis,
        before.step,
        before.compared_period_key,
        before.compared_period_code,
        before.value,
        before.numerator,
        before.denominator
    from current_values
    inner join known as before
        on
            current_values.indicator_key = before.indicator_key
            and current_values.period_key = before.period_key
            and before.step > 0
            and current_values.territory_code = before.territory_code
            and current_values.population_group_key = before.population_group_key
            and current_values.category_key = before.category_key
            and before.territorial_basis in (
                'both',
                case when current_values.territorial_basis = 'as_delivered' then 'as_delivered' else 'converted' end
            )
    where
        not exists (
            select 1 from unnest(before.broken_for) as prefix (code)
            where starts_with(current_values.territory_code, prefix.code)
        )
),

trends as materialized (
    select
        territory_key,
        {% for column in cell %}
        {{ column }},
        {% endfor %}
        period_key,
        territorial_basis,
        max(compared_period_key) filter (where step = 1) as previous_period_key,
        max(value) filter (where step = 1) as previous_value,
        count(*) as earlier_count,
        min(compared_period_code) filter (where step = 2) as pooled_from_period_code,
        sum(numerator) as earlier_numerator,
        sum(denominator) as earlier_denominator
    from earlier
    group by
        territory_key,
        {% for column in cell %}
        {{ column }},
        {% endfor %}
        period_key, territorial_basis
),

-- Whom a value is compared with. A converted value stands among converted and unchanged ones, any other among those delivered.
grouped as materialized (
    select
        current_values.*,
        basis.counted_as,
        case
            when current_values.level = 'municipality' then current_values.county_code
            when current_values.level = 'county' then current_values.state_code
        end as siblings_code,
        case
            when current_values.level in ('municipality', 'county') and current_values.size_class_code is not null
                then current_values.level || ' ' || coalesce(current_values.text_code, '-')
                    || ' ' || current_values.size_class_code
        end as peers_code
    from current_values
    inner join (values ('as_delivered'), ('converted')) as basis (counted_as)
        on current_values.territorial_basis in ('both', basis.counted_as)
),

{% for pair in pairs %}
{% set members %}
{{ cell | join(', ') }}, period_key, counted_as, level, {{ pair }}_code
{%- endset %}
{{ pair }}_middle as materialized (
    select
        {{ members | trim }},
        count(*) as member_count,
        percentile_cont(0.5) within group (order by value::double precision) as median,
        case
            when min(aggregation) = 'ratio_of_sums' and sum(denominator) <> 0
                then sum(numerator) * min(multiplier) / sum(denominator)
        end as group_value
    from grouped
    where {{ pair }}_code is not null
    group by {{ members | trim }}
),

{{ pair }}_spread as materialized (
    select
        {% for column in cell + ['period_key', 'counted_as', 'level', pair ~ '_code'] %}
        middle.{{ column }},
        {% endfor %}
        percentile_cont(0.5) within group (order by abs(grouped.value::double precision - middle.median)) as deviation
    from grouped
    inner join {{ pair }}_middle as middle
        on
            {% for column in cell + ['period_key', 'counted_as', 'level', pair ~ '_code'] %}
            grouped.{{ column }} = middle.{{ column }}{{ ' and' if not loop.last }}
            {% endfor %}
    group by
        {% for column in cell + ['period_key', 'counted_as', 'level', pair ~ '_code'] %}
        middle.{{ column }}{{ ',' if not loop.last }}
        {% endfor %}
),

{% endfor %}
ranked as (
    select
        grouped.*
        {% for pair in pairs %}
        {% set members %}
partition by {{ cell | join(', ') }}, period_key, counted_as, level, {{ pair }}_code
        {%- endset %},
        rank() over (
            {{ members }} order by case when direction = 'lower' then value else -value end
        ) as {{ pair }}_rank,
        percent_rank() over ({{ members }} order by value) as {{ pair }}_percentile
        {% endfor %}
    from grouped
)

select
    ranked.indicator_key,
    ranked.period_key,
    ranked.territory_key,
    ranked.population_group_key,
    ranked.category_key,
    ranked.territorial_basis,
    ranked.value,
    trends.previous_period_key,
    trends.previous_value,
    ranked.value - trends.previous_value as change,
    case
        when ranked.value = trends.previous_value then 'same'
        when ranked.direction not in ('higher', 'lower') or trends.previous_value is null then null
        when (ranked.value > trends.previous_value) = (ranked.direction = 'higher') then 'better'
        else 'worse'
    end as change_direction,
    case
        when
            ranked.is_small_number and ranked.aggregation = 'ratio_of_sums' and trends.earlier_count = 2
            and ranked.denominator + trends.earlier_denominator > 0
            then trends.pooled_from_period_code
    end as pooled_from_period_code,
    case
        when
            ranked.is_small_number and ranked.aggregation = 'ratio_of_sums' and trends.earlier_count = 2
            and ranked.denominator + trends.earlier_denominator > 0
            then (ranked.numerator + trends.earlier_numerator) * ranked.multiplier
                / (ranked.denominator + trends.earlier_denominator)
    end as pooled_value,
    {% for pair in pairs %}
    ranked.{{ pair }}_code,
    {{ pair }}_middle.member_count as {{ pair }}_count,
    case when ranked.{{ pair }}_code is not null then ranked.{{ pair }}_rank end as {{ pair }}_rank,
    case
        when {{ pair }}_middle.member_count > 1 then (100 * ranked.{{ pair }}_percentile)::numeric
    end as {{ pair }}_percentile,
    case
        when {{ pair }}_spread.deviation > 0
            then ((ranked.value::double precision - {{ pair }}_middle.median)
                / (1.4826 * {{ pair }}_spread.deviation))::numeric
    end as {{ pair }}_robust_z,
    {{ pair }}_middle.group_value as {{ pair }}_value,
    {% endfor %}
    target.target_low,
    target.target_high,
    case
        when ranked.value < target.target_low then 'below'
        when ranked.value > target.target_high then 'above'
        when target.target_key is not null then 'within'
    end as target_status
from ranked
left join trends
    on
        {% for column in cell + ['period_key', 'territory_key', 'territorial_basis'] %}
        ranked.{{ column }} = trends.{{ column }}{{ ' and' if not loop.last }}
        {% endfor %}
{% for pair in pairs %}
{% for relation in [pair ~ '_middle', pair ~ '_spread'] %}
left join {{ relation }}
    on
        {% for column in cell + ['period_key', 'counted_as', 'level', pair ~ '_code'] %}
        ranked.{{ column }} = {{ relation }}.{{ column }}{{ ' and' if not loop.last }}
        {% endfor %}
{% endfor %}
{% endfor %}
left join {{ ref('dim_period') }} as period
    on ranked.period_key = period.period_key
left join {{ ref('dim_indicator_target') }} as target
    on
        ranked.indicator_key = target.indicator_key
        and (target.territory_code is null or ranked.territory_code = target.territory_code)
        and period.reference_date
        between coalesce(target.valid_from, date '0001-01-01') and coalesce(target.valid_to, date '9999-12-31')
-- unchanged units were counted on both territories and are shown once
where ranked.counted_as = case when ranked.territorial_basis = 'converted' then 'converted' else 'as_delivered' end
