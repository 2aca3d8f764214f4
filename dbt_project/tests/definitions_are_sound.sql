-- What the arithmetic relies on: definitions and terms belong together, one definition is the default at a time, a ratio has a
-- denominator, the terms of a role follow the numerator alike and are divided alike, `each` belongs to numerators and `same` to
-- denominators, and a level above the needed one says why.
{% set names = "'Indicator %s, definition %s: ' ||" %}
{% set query %}
with definition as (
    select
        stated.*,
        daterange(stated.valid_from, stated.valid_to, '[]') as validity
    from {{ ref('indicator_definitions') }} as stated
    where stated.valid_from is null or stated.valid_to is null or stated.valid_from <= stated.valid_to
)

select format({{ names }} 'valid_from is after valid_to.', indicator_code, definition_version) as sentence
from {{ ref('indicator_definitions') }}
where valid_from > valid_to
union all
select format('Indicator %s has no default definition.', indicator_code)
from {{ ref('indicators') }} as indicator
where
    not exists (
        select 1 from {{ ref('indicator_definitions') }} as definition
        where definition.indicator_code = indicator.indicator_code and definition.is_default
    )
union all
select
    format(
        'Indicator %s: definitions %s and %s are default at the same time.',
        one.indicator_code, one.definition_version, other.definition_version
    )
from definition as one
inner join definition as other
    on one.indicator_code = other.indicator_code and one.definition_version < other.definition_version
where one.is_default and other.is_default and one.validity && other.validity
union all
select format({{ names }} 'it is not in indicators.csv.', indicator_code, definition_version)
from {{ ref('indicator_definitions') }}
where indicator_code not in (select indicator.indicator_code from {{ ref('indicators') }} as indicator)
union all
select format('Indicator %s: there is no field %s.', indicator_code, field_code)
from {{ ref('indicators') }}
where field_code is null or field_code not in (select field.field_code from {{ ref('indicator_fields') }} as field)
union all
select format({{ names }} 'there is no framework %s.', indicator_code, definition_version, framework_code)
from {{ ref('indicator_definitions') }}
where framework_code is null or framework_code not in (select f.framework_code from {{ ref('frameworks') }} as f)
union all
select format({{ names }} 'its place in %s has no such framework or definition.', indicator_code, definition_version, framework_code)
from {{ ref('indicator_frameworks') }}
where
    framework_code not in (select f.framework_code from {{ ref('frameworks') }} as f)
    or (indicator_code, definition_version) not in (
        select d.indicator_code, d.definition_version from {{ ref('indicator_definitions') }} as d
    )
union all
select format({{ names }} 'it has terms but is not in indicator_definitions.csv.', indicator_code, definition_version)
from {{ ref('indicator_terms') }}
where
    (indicator_code, definition_version) not in (
        select d.indicator_code, d.definition_version from {{ ref('indicator_definitions') }} as d
    )
union all
select
    format(
        {{ names }} case
            when not terms.has_numerator then 'it has no numerator.'
            when definition.aggregation = 'ratio_of_sums' then 'a ratio needs a denominator, and it has none.'
            else 'a sum has no denominator.'
        end,
        definition.indicator_code, definition.definition_version
    )
from {{ ref('indicator_definitions') }} as definition
cross join lateral (
    select
        coalesce(bool_or(term.role = 'numerator'), false) as has_numerator,
        coalesce(bool_or(term.role = 'denominator'), false) as has_denominator
    from {{ ref('indicator_terms') }} as term
    where
        term.indicator_code = definition.indicator_code
        and term.definition_version = definition.definition_version
) as terms
where
    not terms.has_numerator
    or (definition.aggregation = 'ratio_of_sums' and not terms.has_denominator)
    or (definition.aggregation = 'sum' and terms.has_denominator)
union all
select format({{ names }} 'there is no period rule %s.', indicator_code, definition_version, period_rule)
from {{ ref('indicator_terms') }}
where period_rule is null or period_rule not in (select rule.period_rule from {{ ref('period_rules') }} as rule)
union all
select
    format(
        {{ names }} 'the terms of its %s must follow the numerator alike, be divided alike, and have `each` in the numerator '
        'and `same` in the denominator only.',
        indicator_code, definition_version, role
    )
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
    format(
        'Indicator %s: it is published for level %s and needed for %s, and level_note says no reason.',
        indicator_code, level_published, level_needed
    )
from {{ ref('indicators') }}
where
    (level_note_de is null or level_note_en is null)
    and array_position(array['country', 'state', 'county', 'municipality'], level_published)
    < array_position(array['country', 'state', 'county', 'municipality'], level_needed)
{% endset %}
{{ refuse_with_sentences(query) }}
