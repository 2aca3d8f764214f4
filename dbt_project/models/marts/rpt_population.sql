{{ config(materialized='published_view', post_hook="{{ describe_wide_indicators('population') }}") }}
{{ wide_indicators('population') }}
