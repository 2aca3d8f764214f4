-- The plain way: typed observations, sums of counties and indicators as tables, computed anew over the whole history with each
-- delivery. The latest delivery of a number counts; nothing is kept of what was known before, nothing is tested or published.

drop schema if exists plain_new cascade;
create schema plain_new;

create table plain_new.delivered as
select distinct on (measure_code, territory_code, period_code, nationality, sex, age_band, category)
    measure_code, territory_code, period_code, nationality, sex, age_band, category, value, obs_status, conf_status,
    dataset_id, delivery_id, row_number, known_from
from (
    select * from staging.stg_employment_agency__municipal_workbook
    union all
    select * from staging.stg_state_statistics__population
) as delivered
order by measure_code, territory_code, period_code, nationality, sex, age_band, category, known_from desc;

create table plain_new.observation as
select * from plain_new.delivered
union all
select
    measure_code, left(territory_code, 5), period_code, nationality, sex, age_band, category,
    case when bool_and(value is not null) then sum(value) end,
    case when bool_and(value is not null) then 'A' else 'Q' end,
    case when bool_and(value is not null) then 'F' else 'C' end,
    min(dataset_id), max(delivery_id), null, max(known_from)
from plain_new.delivered
group by measure_code, left(territory_code, 5), period_code, nationality, sex, age_band, category;

drop table plain_new.delivered;

create table plain_new.indicator as
select
    code.indicator_code, numerator.territory_code, numerator.period_code, numerator.nationality, numerator.sex,
    numerator.value * 100 / nullif(denominator.value, 0) as value,
    numerator.value as numerator,
    denominator.value as denominator,
    numerator.delivery_id as numerator_delivery_id,
    denominator.delivery_id as denominator_delivery_id,
    numerator.obs_status, numerator.conf_status
from (values ('ARB-03', 'unemployed'), ('ARB-04', 'employable_recipients')) as code (indicator_code, measure_code)
inner join plain_new.observation as numerator on code.measure_code = numerator.measure_code
inner join plain_new.observation as denominator
    on
        denominator.measure_code = 'population'
        and denominator.age_band = '15_64'
        and numerator.territory_code = denominator.territory_code
        and numerator.nationality = denominator.nationality
        and numerator.sex = denominator.sex
        and denominator.period_code = (left(numerator.period_code, 4)::integer - 1)::text || '-12-31'
union all
select
    'ARB-09', numerator.territory_code, numerator.period_code, 'total', 'total',
    numerator.value * 100 / nullif(denominator.value, 0), numerator.value, denominator.value,
    numerator.delivery_id, denominator.delivery_id, numerator.obs_status, numerator.conf_status
from plain_new.observation as numerator
inner join plain_new.observation as denominator
    on
        denominator.measure_code = 'unemployed'
        and denominator.nationality = 'total'
        and denominator.sex = 'total'
        and numerator.territory_code = denominator.territory_code
        and denominator.period_code = to_char((numerator.period_code || '-01')::date - interval '1 month', 'YYYY-MM')
where numerator.measure_code = 'unemployed_exits_to_work'
union all
select
    'DEM-01', territory_code, period_code, nationality, sex, value, value, null, delivery_id, null, obs_status, conf_status
from plain_new.observation
where measure_code = 'population'
union all
select
    'DEM-02', numerator.territory_code, numerator.period_code, 'foreign', numerator.sex,
    numerator.value * 100 / nullif(denominator.value, 0), numerator.value, denominator.value,
    numerator.delivery_id, denominator.delivery_id, numerator.obs_status, numerator.conf_status
from plain_new.observation as numerator
inner join plain_new.observation as denominator
    on
        denominator.measure_code = 'population'
        and denominator.nationality = 'total'
        and numerator.territory_code = denominator.territory_code
        and numerator.period_code = denominator.period_code
        and numerator.sex = denominator.sex
where numerator.measure_code = 'population' and numerator.nationality = 'foreign';

create index on plain_new.observation (measure_code, period_code, territory_code);
create index on plain_new.observation (territory_code, measure_code, period_code);
create index on plain_new.indicator (indicator_code, period_code, territory_code);
create index on plain_new.indicator (territory_code, indicator_code, period_code);
analyze plain_new.observation;
analyze plain_new.indicator;

drop schema if exists plain cascade;
alter schema plain_new rename to plain;
