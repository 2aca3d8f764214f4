-- Units that end in each other on one day lead nowhere.
{% set query %}
select
    old_code as territory_code,
    old_code || ' goes on ' || effective_date || ' into units that end in it on the same day: a circle.' as sentence
from {{ ref('int_territory__change') }}
where is_cyclic
{% endset %}
{{ refuse_with_sentences(query) }}
