{{ config(materialized='published_view') }}

{{ report_indicators('converted') }}
