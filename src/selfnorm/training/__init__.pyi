from ._batches import Batches as Batches
from ._batches import Rows as Rows
from ._batches import Shuffled as Shuffled
from ._history import Epoch as Epoch
from ._history import History as History
from ._loop import fit as fit
from ._options import Options as Options
from ._progress import Progress as Progress
