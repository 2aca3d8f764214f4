{{ config(materialized='view') }}

{{ report_observations('converted') }}
