{{ config(materialized='incremental', incremental_strategy='replace') }}

-- The programmes' counts side by side, as they are current in fct_observation: corrected, and with the county as the sum of
-- its municipalities where the job centre states none.
{% set counts = {
    'programme_entries': 'entries',
    'programme_exits': 'exits',
    'programme_completed': 'completed',
    'programme_in_work_6m': 'in_work_6m',
    'programme_cost': 'cost_eur',
} %}
with observed as (
    select
        programme.programme_key,
        observation.territory_key,
        observation.period_key,
        observation.population_group_key,
        measure.measure_code,
        observation.value,
        observation.conf_status,
        observation.is_derived,
        observation.known_from
    from {{ ref('fct_observation') }} as observation
    inner join {{ ref('dim_measure') }} as measure
        on observation.measure_key = measure.measure_key
    inner join {{ ref('dim_programme') }} as programme
        -- a programme is the category of its counts
        on observation.category_key = programme.programme_key
    where
        observation.measure_key in (
            {%- for measure in counts %}
            {{ surrogate_key(["'" ~ measure ~ "'"]) }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
        and observation.territorial_basis in ('both', 'as_delivered')
)

select
    programme_key,
    territory_key,
    period_key,
    population_group_key,
    {% for measure, name in counts.items() %}
    max(value) filter (where measure_code = '{{ measure }}') as {{ name }},
    {% endfor %}
    bool_or(conf_status <> 'F') as is_partly_secret,
    bool_or(is_derived) as is_derived,
    max(known_from) as known_from
from observed
group by programme_key, territory_key, period_key, population_group_key
