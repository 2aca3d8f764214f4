{{ config(severity='warn') }}
-- Units that end in each other on one day lead nowhere: a list says so, and they are not converted.
select
    old_code as territory_code,
    old_code || ' goes on ' || effective_date || ' into units that end in it on the same day: a circle.' as sentence
from {{ ref('int_territory__change') }}
where is_cyclic
