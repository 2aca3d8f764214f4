{{ config(materialized='view', post_hook="{{ describe_wide_indicators('labour_market') }}") }}
{{ wide_indicators('labour_market') }}
