select
    register.territory_code,
    register.territory_name,
    case register.record_type
        when '10' then 'state'
        when '20' then 'region'
        when '30' then 'region'
        when '40' then 'county'
        when '50' then 'association'
        when '60' then 'municipality'
    end as level,
    register.text_code,
    register.ars,
    register.period_code::date as edition_date,
    nullif(register.population, '')::numeric as population,
    register.population_period_code::date as population_date,
    nullif(register.area_km2, '')::numeric as area_km2,
    register._delivery_id as delivery_id,
    register._row_number as row_number,
    delivery.received_at as known_from
from {{ source('raw', 'register__municipalities') }} as register
inner join {{ source('ops', 'delivery') }} as delivery
    on register._delivery_id = delivery.delivery_id
where delivery.state = 'loaded' and delivery.dataset_id = 'register__municipalities'
