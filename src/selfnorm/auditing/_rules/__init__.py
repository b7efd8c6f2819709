"""The rules, in the order in which a cause comes before its effects."""

from selfnorm.auditing._rules import (
    _data,
    _drift,
    _dropout,
    _effects,
    _functions,
    _structure,
    _weights,
)
from selfnorm.auditing._rules._registry import Rule as Rule
from selfnorm.auditing._rules._registry import arrange
from selfnorm.auditing._rules._registry import forget as forget
from selfnorm.auditing._rules._registry import judge as judge
from selfnorm.auditing._rules._registry import rule as rule
from selfnorm.auditing._rules._registry import rule_names as rule_names
from selfnorm.auditing._rules._registry import select as select

arrange([_data, _weights, _functions, _dropout, _structure, _effects, _drift])

__all__ = ["Rule", "forget", "judge", "rule", "rule_names", "select"]
