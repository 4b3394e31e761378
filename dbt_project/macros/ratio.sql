{# A quotient as published: six decimals, half away from zero, null where the denominator is zero. #}
{% macro ratio(numerator, denominator) -%}
    round(({{ numerator }})::numeric / nullif({{ denominator }}, 0), 6)
{%- endmacro %}
