"""Is this network self-normalizing? What its layers do to mean and variance."""

from selfnorm.audit._record import LayerMoments as LayerMoments
from selfnorm.audit._record import record_moments as record_moments

__all__ = ["LayerMoments", "record_moments"]
