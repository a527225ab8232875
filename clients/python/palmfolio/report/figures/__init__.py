"""The drawings of a report: SVG from values, one module per form."""
