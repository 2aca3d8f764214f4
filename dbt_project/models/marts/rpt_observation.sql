{{ config(materialized='published_view') }}

{{ report_observations('as_delivered') }}
