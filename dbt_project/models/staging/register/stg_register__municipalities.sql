-- The register is wide: one municipality per row, its area and its population side by side. Area holds at the date of the
-- territory, population at the date the register names for it; the two can differ by a year.
with delivered as (
    select
        register.*,
        delivery.received_at as known_from
    from {{ source('raw', 'register__municipalities') }} as register
    inner join {{ source('ops', 'delivery') }} as delivery
        on register._delivery_id = delivery.delivery_id
    where
        {{ is_delivered('delivery') }} and delivery.dataset_id = 'register__municipalities'
        and register.record_type = '60'
)

select
    number.measure_code,
    delivered.territory_code,
    number.period_code,
    'total'::text as nationality,
    number.sex,
    'total'::text as age_band,
    'total'::text as category,
    number.value::numeric as value,
    'A'::text as obs_status,
    'F'::text as conf_status,
    'register__municipalities'::text as dataset_id,
    delivered._delivery_id as delivery_id,
    delivered._row_number as row_number,
    delivered._column_number as column_number,
    delivered.known_from,
    delivered.territory_name as territory_name_delivered,
    null::text as category_name
from delivered
cross join lateral (
    values
    ('area_km2', delivered.period_code, 'total', delivered.area_km2),
    ('population', delivered.population_period_code, 'total', delivered.population),
    ('population', delivered.population_period_code, 'male', delivered.population_male),
    ('population', delivered.population_period_code, 'female', delivered.population_female)
) as number (measure_code, period_code, sex, value)
where number.value is not null and number.period_code is not null
