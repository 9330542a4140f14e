"""The methods that the paper compares with (Tables 1, 2 and 6, Fig. 8 and 9), from their authors' descriptions."""

from __future__ import annotations

from prosr_lightning.networks.compared.drcn import DRCN
from prosr_lightning.networks.compared.drrn import DRRN
from prosr_lightning.networks.compared.espcn import ESPCN
from prosr_lightning.networks.compared.fsrcnn import FSRCNN
from prosr_lightning.networks.compared.lapsrn import LapSRN
from prosr_lightning.networks.compared.ms_lapsrn import MSLapSRN
from prosr_lightning.networks.compared.srcnn import SRCNN
from prosr_lightning.networks.compared.srresnet import SRResNet
from prosr_lightning.networks.compared.vdsr import VDSR

__all__ = [
    "DRCN",
    "DRRN",
    "ESPCN",
    "FSRCNN",
    "SRCNN",
    "VDSR",
    "LapSRN",
    "MSLapSRN",
    "SRResNet",
]
