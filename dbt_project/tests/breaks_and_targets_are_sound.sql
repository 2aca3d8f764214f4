-- A break names at most one series and either a day or a yearly one; a target belongs to a definition, has a bound, and no other
-- target of the territory holds at the same time.
{% set query %}
with target as (
    select
        stated.*,
        row_number() over () as number,
        daterange(stated.valid_from, stated.valid_to, '[]') as validity
    from {{ ref('indicator_targets') }} as stated
    where stated.valid_from is null or stated.valid_to is null or stated.valid_from <= stated.valid_to
)

select format('Break %s: there is no measure %s.', break_code, measure_code) as sentence
from {{ ref('series_breaks') }}
where measure_code not in (select measure.measure_code from {{ ref('measures') }} as measure)
union all
select format('Break %s: there is no indicator %s.', break_code, indicator_code)
from {{ ref('series_breaks') }}
where indicator_code not in (select indicator.indicator_code from {{ ref('indicators') }} as indicator)
union all
select format('Break %s: name a measure or an indicator, not both.', break_code)
from {{ ref('series_breaks') }}
where measure_code is not null and indicator_code is not null
union all
select format('Break %s: it needs either from_date (and to_date on or after it) or recurs_on as MM-DD.', break_code)
from {{ ref('series_breaks') }}
where
    (from_date is null) = (recurs_on is null)
    or from_date > to_date
    or (from_date is null and to_date is not null)
    or recurs_on !~ '^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'
union all
select format('The target of %s: there is no definition %s.', indicator_code, definition_version)
from {{ ref('indicator_targets') }}
where
    (indicator_code, definition_version) not in (
        select definition.indicator_code, definition.definition_version
        from {{ ref('indicator_definitions') }} as definition
    )
union all
select format('The target of %s needs a bound, the lower not above the upper, and valid_from not after valid_to.', indicator_code)
from {{ ref('indicator_targets') }}
where (target_low is null and target_high is null) or target_low > target_high or valid_from > valid_to
union all
select format('Two targets of %s hold for the same territory at the same time.', one.indicator_code)
from target as one
inner join target as other
    on
        one.indicator_code = other.indicator_code
        and one.definition_version = other.definition_version
        and one.territory_code is not distinct from other.territory_code
        and one.number < other.number
where one.validity && other.validity
{% endset %}
{{ refuse_with_sentences(query) }}
