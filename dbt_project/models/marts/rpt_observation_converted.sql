{{ config(materialized='published_view') }}

{{ report_observations('converted') }}
