from ._audit import audit as audit
from ._finding import Finding as Finding
from ._report import Report as Report
from ._rules import forget as forget
from ._rules import rule as rule
from ._rules import rule_names as rule_names
