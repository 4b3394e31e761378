{# The columns of a table, by name and type, as one part of a union tells them: as they are, computed, or null. #}
{% macro told(columns, names, computed={}) -%}
    {%- for name, type in columns.items() %}
        {%- if name in computed %}
        {{ computed[name] }} as {{ name }}
        {%- elif name in names %}
        {{ name }}
        {%- else %}
        null::{{ type }} as {{ name }}
        {%- endif %}
        {{- ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
