{# A build reaches one schema, whatever folder a model stands in: its candidates go to `build`, and dbt can harm nothing else.
   The target `published` is for reading alone (documentation, tests of what people read): there a model is the table that its
   candidates are published to. Lyceum names those tables (`lyceum docs`); publishing is the only place that knows them. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ published_table(node).split('.')[0] if target.name == 'published' and published_table(node) else target.schema }}
{%- endmacro %}

{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
    {{ published_table(node).split('.')[1] if target.name == 'published' and published_table(node) else node.name }}
{%- endmacro %}

{% macro published_table(node) -%}
    {{ return(var('published_tables', {}).get(node.name)) }}
{%- endmacro %}

{# Runs before a model or a seed is built: what reads published tables must never be able to replace one. #}
{% macro refuse_to_write() -%}
    {%- if execute and target.name == 'published' -%}
        {{ exceptions.raise_compiler_error(
            "The target 'published' is for reading. Only publishing an audited build writes these tables: run 'lyceum build'."
        ) }}
    {%- endif -%}
{%- endmacro %}
