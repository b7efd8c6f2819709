from ._adamw import AdamW as AdamW
from ._keep import Kept as Kept
from ._keep import keep_orthogonal as keep_orthogonal
from ._lightning import lightning_callback as lightning_callback
