"""Is this network self-normalizing, and why not? `selfnorm.audit` asks; here is what it answers."""

from selfnorm.auditing._audit import audit as audit
from selfnorm.auditing._finding import Finding as Finding
from selfnorm.auditing._report import Report as Report
from selfnorm.auditing._rules import forget as forget
from selfnorm.auditing._rules import rule as rule
from selfnorm.auditing._rules import rule_names as rule_names

__all__ = ["Finding", "Report", "audit", "forget", "rule", "rule_names"]
