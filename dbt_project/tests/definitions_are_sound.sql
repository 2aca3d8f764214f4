-- What the arithmetic relies on: the terms of a denominator follow the numerator alike, the terms of a role are divided
-- alike, `each` belongs to numerators and `same` to denominators, every indicator has exactly one default definition, and a
-- level above the needed one says why.
select
    indicator_code,
    'terms disagree' as problem
from {{ ref('indicator_terms') }}
group by indicator_code, definition_version, role
having
    count(distinct period_rule like '%mean%') > 1
    {% for column in ['nationality', 'sex', 'age_band', 'category', 'dataset_rule'] %}
    or count(distinct {{ column }} = 'same') > 1
    or (role = 'denominator' and bool_or({{ column }} = 'each'))
    or (role = 'numerator' and bool_or({{ column }} = 'same'))
    {% endfor %}
union all
select
    indicator_code,
    'no default or several'
from {{ ref('indicators') }}
group by indicator_code
having count(*) filter (where is_default) <> 1
union all
select
    indicator_code,
    'level without a reason'
from {{ ref('indicators') }}
where level_published = 'county' and level_needed = 'municipality' and level_note_de is null
union all
select
    definition.indicator_code,
    'no terms'
from {{ ref('indicators') }} as definition
where
    not exists (
        select 1 from {{ ref('indicator_terms') }} as term
        where
            term.role = 'numerator'
            and term.indicator_code = definition.indicator_code
            and term.definition_version = definition.definition_version
    )
