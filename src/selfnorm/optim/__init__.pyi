from ._adamw import AdamW as AdamW
from ._keep import OrthogonalHandle as OrthogonalHandle
from ._keep import keep_orthogonal as keep_orthogonal
from ._lightning import lightning_callback as lightning_callback
