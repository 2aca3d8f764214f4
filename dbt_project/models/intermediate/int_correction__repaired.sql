{{ config(materialized='view') }}

-- Corrections whose error no longer shows in what was delivered: the office has repaired its file. What to do stands in
-- message_de; until then the correction stands aside. Only what the corrections speak of is read: the view is made anew by each
-- build, after the seed.
{% set spoken_of %}
    select distinct
        measure_code,
        period_code
    from {{ ref('corrections') }}
    where status <> 'repaired'
{% endset %}
with touched as (
    select
        correction.correction_id,
        bool_or(observed.correction_id = correction.correction_id) as still_shows
    from {{ ref('corrections') }} as correction
    inner join {{ ref('int_observation__known') }} as observed
        on {{ same_cell('correction', 'observed', 'correction.territory_code') }}
    where
        correction.status <> 'repaired' and observed.known_until is null
        and {{ in_rows('observed.measure_code, observed.period_code', spoken_of, 500) }}
    group by correction.correction_id
),

targets as (
    select distinct correction.correction_id
    from {{ ref('corrections') }} as correction
    inner join {{ ref('int_observation__known') }} as observed
        on {{ same_cell('correction', 'observed', 'correction.to_territory_code') }}
    where
        correction.guard = 'target_has_value' and observed.known_until is null and observed.value is not null
        and {{ in_rows('observed.measure_code, observed.period_code', spoken_of, 500) }}
)

select
    correction.correction_id,
    correction.dataset_id,
    'Korrektur ' || correction.correction_id || ' wird nicht mehr gebraucht: ' || correction.office
    || ' hat ' || correction.dataset_id || ' für ' || correction.period_code || ' berichtigt ('
    || case
        when targets.correction_id is not null then 'unter ' || correction.to_territory_code || ' steht jetzt ein Wert'
        else 'der Fehler unter ' || correction.territory_code || ' steht nicht mehr in der Lieferung'
    end
    || '). In corrections.csv auf repaired setzen.' as message_de
from {{ ref('corrections') }} as correction
left join touched on correction.correction_id = touched.correction_id
left join targets on correction.correction_id = targets.correction_id
where
    correction.status <> 'repaired'
    and (targets.correction_id is not null or not coalesce(touched.still_shows, touched.correction_id is null))
