{{ config(materialized='view') }}

-- What is known per dataset under keys as delivered and under the keys valid at the reference date; one row per number,
-- dataset and time of knowledge. An own cell without a number gives way to the exact sum of the predecessors. The basis says
-- whether the unit is still the same in the chosen territorial state.
{% set columns = key_columns() + [
    'dataset_id', 'value', 'obs_status', 'conf_status', 'delivery_id', 'known_from', 'known_until', 'correction_id',
] %}
with delivered as (
    select
        {% for column in columns %}
        observed.{{ column }},
        {% endfor %}
        observed.row_number,
        observed.column_number,
        'as_delivered' as territorial_method,
        false as is_derived
    from {{ ref('int_observation__known') }} as observed
    where
        observed.value is not null
        or not exists (
            select 1 from {{ ref('int_observation__rekeyed') }} as rekeyed
            where
                {% for column in key_columns() + ['dataset_id'] %}
                rekeyed.{{ column }} = observed.{{ column }}
                and {% endfor %}{{ hold_together('rekeyed', 'observed') }}
        )
    union all
    select
        {{ columns | join(', ') }},
        null::integer,
        null::integer,
        territorial_method,
        true
    from {{ ref('int_observation__rekeyed') }}
)

select
    delivered.*,
    case
        when changed.territory_code is null or (changed.is_ahead and delivered.value is not null) then 'both'
        else 'as_delivered'
    end as territorial_basis
from delivered
inner join {{ ref('int_period__parsed') }} as period
    on delivered.period_code = period.period_code
left join {{ ref('int_territory__changed') }} as changed
    on delivered.territory_code = changed.territory_code and period.reference_date = changed.reference_date
