{{ config(materialized='published_view', post_hook="{{ describe_wide_indicators('labour_market') }}") }}
{{ wide_indicators('labour_market') }}
