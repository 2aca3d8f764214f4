{#
  Fingerprint of the code that makes a table: the text of its model, of all models it is made from and of all macros these use. So
  a mended model or macro makes new numbers, whoever runs dbt. What reads each delivery once (staging, and the models that keep what was
  read) does not count: where that changes, everything is read again, see `_reads_otherwise` in building.py.

  Computed once, before a run, and kept in `model_code`. Names of macros are taken from the texts: dbt notes only those that are called
  while it parses, and nothing below `if execute` or `if is_incremental()` is.
#}
{% macro model_code() %}{{ return('intermediate.model_code') }}{% endmacro %}

{% macro record_code() %}
    {% if not execute or flags.WHICH not in ('build', 'run') %}{{ return('select 1') }}{% endif %}
    {% set digests = code_digests() %}
    create unlogged table if not exists {{ model_code() }} (model text primary key, digest text not null);
    truncate {{ model_code() }};
    {% if digests %}
        insert into {{ model_code() }} (model, digest)
        values {% for model, digest in digests.items() %}('{{ model }}', '{{ digest }}'){{ ', ' if not loop.last }}{% endfor %}
    {% endif %}
{% endmacro %}

{# Model -> fingerprint, of all models that remember what their partitions were made from. #}
{% macro code_digests() %}
    {% set texts = {} %}
    {% set parents = {} %}
    {% set asked = [] %}
    {% for id, node in graph.nodes.items() if node.resource_type == 'model' and 'staging' not in node.tags %}
        {% set strategy = node.config.get('incremental_strategy') or 'no' %}
        {% if strategy != 'replace_deliveries' %}
            {% do texts.update({id: node.raw_code ~ ' get_incremental_' ~ strategy ~ '_sql()'}) %}
            {% do parents.update({id: node.depends_on.nodes}) %}
            {% if strategy == 'replace_partitions' %}{% do asked.append([node.name, id]) %}{% endif %}
        {% endif %}
    {% endfor %}
    {% set macros = {} %}
    {% set calls = {} %}
    {% for id, text in texts.items() %}{% do calls.update({id: called_macros(text, macros)}) %}{% endfor %}
    {% set found = {} %}
    {% for name, id in asked %}
        {% set models = [id] %}
        {% set used = [] %}
        {# Both lists grow while they are gone through. #}
        {% for one in models %}
            {% for parent in parents[one] if parent in texts and parent not in models %}{% do models.append(parent) %}{% endfor %}
            {% for macro in calls[one] if macro not in used %}{% do used.append(macro) %}{% endfor %}
        {% endfor %}
        {% for one in used %}
            {% for macro in macros[one][1] if macro not in used %}{% do used.append(macro) %}{% endfor %}
        {% endfor %}
        {% set parts = [] %}
        {% for one in models | sort %}{% do parts.append(texts[one]) %}{% endfor %}
        {% for one in used | sort %}{% do parts.append(macros[one][0]) %}{% endfor %}
        {% do found.update({name: local_md5(parts | join('\n'))}) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The project's macros that a text calls. All of them and those they call are added to `known`: name -> [text, names called]. #}
{% macro called_macros(text, known) %}
    {% set names = [] %}
    {% for name in modules.re.findall('\\b([a-z_]+)\\s*\\(', without_comments(text)) if name not in names %}
        {% if name not in known %}
            {% set macro = context.get(name) %}
            {% if macro.macro is defined and macro.macro.package_name == project_name %}
                {% set body = without_comments(macro.macro.macro_sql) %}
                {% do known.update({name: [body, []]}) %}
                {% do known.update({name: [body, called_macros(body, known)]}) %}
            {% endif %}
        {% endif %}
        {% if name in known %}{% do names.append(name) %}{% endif %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}

{% macro without_comments(text) %}{{ return(modules.re.sub('(?s)\\{#.*?#\\}', '', text)) }}{% endmacro %}
