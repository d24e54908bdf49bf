"""What quality engineers reckon with: control charts, Nelson's rules, capability. Pure numpy."""
