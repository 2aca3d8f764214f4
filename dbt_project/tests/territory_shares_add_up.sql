-- What became of a unit is the whole of it: the shares of a day add up to one, and none is less than nothing. This holds our own
-- arithmetic; what a list says against itself or the register has no share, see territory_lists_agree_with_the_register.
{% set query %}
select
    old_code as territory_code,
    'The shares of ' || old_code || ' on ' || effective_date || ' add up to ' || sum(factor) || ' instead of 1.' as sentence
from {{ ref('int_territory__change') }}
where not is_cyclic
group by level, old_code, effective_date
having bool_and(factor is not null) and (sum(factor) <> 1 or min(factor) < 0)
{% endset %}
{{ refuse_with_sentences(query) }}
