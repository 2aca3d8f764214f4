{#
  A test whose failing rows are sentences (column `sentence`): they become the message of the test, so that whoever broke a
  seed reads what is wrong instead of a count. Elsewhere - compiling, documentation - it is the query alone.
#}
{% macro refuse_with_sentences(query) %}
    {% if execute and flags.WHICH in ('build', 'test') %}
        {% set sentences = run_query('select distinct sentence from (' ~ query ~ ') as refused order by sentence').rows %}
        {% if sentences %}
            {% do exceptions.raise_compiler_error(sentences | map(attribute=0) | join('\n')) %}
        {% endif %}
    {% endif %}
    {{ return(query) }}
{% endmacro %}
