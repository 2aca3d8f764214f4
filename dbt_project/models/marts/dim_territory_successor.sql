{{ config(materialized='incremental', incremental_strategy='replace', indexes=[{'columns': ['new_code']}]) }}

select
    old_code,
    new_code,
    dead_from,
    new_valid_from,
    new_valid_to
from {{ ref('int_territory__lineage') }}
