-- Every measure of a formula is known, and no formula comes back to itself.
{% set query %}
with recursive walked as (
    select
        formula.measure_code,
        formula.part_measure_code,
        array[formula.measure_code, formula.part_measure_code] as path,
        formula.measure_code = formula.part_measure_code as is_back
    from {{ ref('measure_formulas') }} as formula
    union all
    select
        walked.measure_code,
        formula.part_measure_code,
        walked.path || formula.part_measure_code,
        formula.part_measure_code = any(walked.path)
    from walked
    inner join {{ ref('measure_formulas') }} as formula
        on walked.part_measure_code = formula.measure_code
    where not walked.is_back
)

select format('The formula of measure %s comes back to itself: %s.', measure_code, array_to_string(path, ' -> ')) as sentence
from walked
where is_back and part_measure_code = measure_code
union all
select format('The formula of measure %s names the unknown measure %s.', formula.measure_code, code)
from {{ ref('measure_formulas') }} as formula
cross join lateral unnest(array[formula.measure_code, formula.part_measure_code]) as code
where not exists (select 1 from {{ ref('measures') }} as measure where measure.measure_code = code)
union all
select
    format(
        'Measure %s claims to add up over %s, but its part %s does not.',
        formula.measure_code,
        case when whole.is_additive_over_territory and not part.is_additive_over_territory then 'territory' else 'groups' end,
        formula.part_measure_code
    )
from {{ ref('measure_formulas') }} as formula
inner join {{ ref('measures') }} as whole
    on formula.measure_code = whole.measure_code
inner join {{ ref('measures') }} as part
    on formula.part_measure_code = part.measure_code
where
    (whole.is_additive_over_territory and not part.is_additive_over_territory)
    or (whole.is_additive_over_groups and not part.is_additive_over_groups)
union all
select
    format(
        'Indicator %s, definition %s: the measure %s of its %s is not in measures.csv.',
        term.indicator_code, term.definition_version, term.measure_code, term.role
    )
from {{ ref('indicator_terms') }} as term
where not exists (select 1 from {{ ref('measures') }} as measure where measure.measure_code = term.measure_code)
{% endset %}
{{ refuse_with_sentences(query) }}
